"""What can stop a simulation, each by what the operator should do; the message is one sentence."""

from __future__ import annotations

from consumer.errors import BrokerError, SettingsError


class DatasetMissingError(SettingsError):
    """The real retail year comes with an optional extra, which is not installed."""


class DeliveryError(BrokerError):
    """The broker did not take every event, so the topic does not hold what was simulated."""
