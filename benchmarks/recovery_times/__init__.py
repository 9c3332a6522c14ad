"""Parts of `make show NAME=recovery`: how long a restart and a takeover take."""
