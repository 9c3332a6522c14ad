"""Parts of `make show NAME=soak`: an hour at a steady rate, a kill every minute, everything compared meanwhile."""
