"""The command line's command groups, a module each; heavy imports stay inside their functions."""
