"""Measurements and demonstrations: what the README claims, each figure beside its bound."""
