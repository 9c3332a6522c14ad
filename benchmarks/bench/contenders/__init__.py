"""The contenders, each a small module that is run as a process of its own.

Their common interface is the worker's own environment. A contender reads `INPUT_TOPIC` from its beginning to where it
ends now, publishes to `OUTPUT_TOPIC`, ends, and prints one line of JSON on standard output
(`benchmarks.bench.stopwatch`). Peers have an environment of their own, which lacks what they do not need: such a module
imports nothing of this project but the stopwatch.
"""
