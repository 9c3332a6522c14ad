"""Trying the worker without a broker: a simulated Kafka."""
