"""Parts of `make show NAME=scale`: what a second worker brings, and what it costs while it joins."""
