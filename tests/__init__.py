"""Tests: `unit` without Kafka, `broker` against a real one."""
