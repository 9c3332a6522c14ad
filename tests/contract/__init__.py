"""The contract between the worker and Kafka: what it relies on, held against the simulated cluster and a real one."""
