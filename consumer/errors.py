"""One error tree, split by what is to be done: go on trying, recover, or stop for the operator."""

from __future__ import annotations

from enum import IntEnum


class ExitCode(IntEnum):
    """What the process says when it ends; the table stands in docs/operations.md (tested)."""

    OK = 0
    UNEXPECTED = 1
    USAGE = 2
    TOPICS = 3
    STATE = 4
    LOG_GAP = 5
    FENCED = 6
    SHUTDOWN_TIMEOUT = 7
    CHECKPOINTS = 8
    BROKER = 9
    MODEL = 10
    INVALID_RATIO = 11
    BAD_LINES = 12
    STUCK = 13
    INTERRUPTED = 130
    OUTPUT_CLOSED = 141
    TERMINATED = 143


class SmartInventoryError(Exception):
    """Root of every error that this software raises on purpose."""


class RetryError(SmartInventoryError):
    """A non-transactional call did not go through this time: the broker was slow, away, or a transaction is pending."""


class RecoverableError(SmartInventoryError):
    """The open transaction cannot stand: its tasks are dropped and restored from the committed offsets."""


class AbortError(RecoverableError):
    """The broker refused the transaction and said that an abort settles it; the clients stay."""


class RebuildError(RecoverableError):
    """The clients are in doubt, dead or fenced: they are thrown away and built anew."""


class FencedError(RebuildError):
    """Another client took this worker's identity, or the group gave it up while the worker or a broker was frozen."""


class StopError(SmartInventoryError):
    """Only the operator can help; the message says what was expected, what came, and what to do.

    Attributes:
        exit_code: what the process ends with.
    """

    exit_code: ExitCode = ExitCode.UNEXPECTED


class SettingsError(StopError):
    """A setting is missing, malformed or not allowed."""

    exit_code = ExitCode.USAGE


class TopicsError(StopError):
    """A topic is missing or does not fit its purpose."""

    exit_code = ExitCode.TOPICS


class StateError(StopError):
    """The committed state belongs to another log, model or configuration, or cannot be restored."""

    exit_code = ExitCode.STATE


class LogGapError(StopError):
    """The log no longer holds records that are needed."""

    exit_code = ExitCode.LOG_GAP


class NameClashError(StopError):
    """Another process keeps taking this worker's INSTANCE_ID."""

    exit_code = ExitCode.FENCED


class CheckpointsError(StopError):
    """The store takes no checkpoints until recovery would soon be impossible, or it cannot be asked for one."""

    exit_code = ExitCode.CHECKPOINTS


class BrokerError(StopError):
    """The broker refuses this worker: authentication, authorisation, or it cannot be reached at the start."""

    exit_code = ExitCode.BROKER


class ModelError(StopError):
    """A model raised an exception."""

    exit_code = ExitCode.MODEL


class InvalidRatioError(StopError):
    """So many events are invalid that something is wrong with all of them."""

    exit_code = ExitCode.INVALID_RATIO
