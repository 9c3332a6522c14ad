"""Parts of `make show NAME=latency`: how long after its event a prediction can be read."""
