"""Seeded mutations of everything that comes from outside, each judged by a second reading of the contract."""
