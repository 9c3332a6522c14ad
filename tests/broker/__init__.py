"""Tests that speak of Kafka's promises, against a real Apache Kafka."""
