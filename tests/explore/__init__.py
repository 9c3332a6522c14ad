"""Exploration: the real worker over a simulated Kafka, through seeded schedules of faults, held to a plain loop."""
