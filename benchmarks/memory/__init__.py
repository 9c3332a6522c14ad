"""Parts of `make show NAME=memory`: what a worker's state takes, and what its checkpoints cost the loop."""
