"""A real Kafka broker for the tests, from whatever the machine offers, and the faults that a test can inflict on it.

`find_broker` says which broker there is, `session_broker` gives one to a pytest session, and `python -m tests.kafka`
runs one by hand.
"""

from .broker import Broker, BrokerControlError, BrokerError, BrokerUnavailableError
from .choice import BrokerChoice, choose_broker, find_broker
from .deadline import DeadlineExceededError, wait_until
from .session import session_broker
from .topics import create_topics, read_all, unique, wait_until_stable

__all__ = [
    "Broker",
    "BrokerChoice",
    "BrokerControlError",
    "BrokerError",
    "BrokerUnavailableError",
    "DeadlineExceededError",
    "choose_broker",
    "create_topics",
    "find_broker",
    "read_all",
    "session_broker",
    "unique",
    "wait_until",
    "wait_until_stable",
]
