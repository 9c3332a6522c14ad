"""`make chaos`: every fault that a group of workers and its brokers may meet, many at a time, and what readers saw."""
