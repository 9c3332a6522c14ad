"""Settings: from the environment, judged as a whole before anything starts."""

from __future__ import annotations

import os
import re
import socket
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any, Final, NamedTuple
from urllib.parse import unquote

from pydantic import AfterValidator, Field, SecretStr, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from consumer.errors import SettingsError

if TYPE_CHECKING:
    from collections.abc import Mapping

_TOPIC: Final = re.compile(r"[a-zA-Z0-9._-]{1,249}").fullmatch
_BUCKET: Final = re.compile(r"//[a-z0-9][a-z0-9._-]{1,221}(?:/[A-Za-z0-9_=-][A-Za-z0-9._=-]*)*/?", re.ASCII).fullmatch
_MOST_SHOWN: Final = 80
"""Characters of a refused value that a message repeats: an environment variable may hold 128 KiB."""

_SECRET: Final = re.compile(r"password|secret|sasl\.jaas|\.key|_key|\.pem|token|credential").search


BUCKET_SCHEMES: Final = frozenset({"s3", "gs", "az"})


class Guarantee(StrEnum):
    """What a read_committed reader of the output may rely on."""

    EXACTLY_ONCE = "exactly_once"
    AT_LEAST_ONCE = "at_least_once"


class Scope(StrEnum):
    """How far one model instance reaches."""

    PARTITION = "partition"
    STORE = "store"
    ITEM = "item"


class GapPolicy(StrEnum):
    """What to do where the log no longer holds records that a replay needs."""

    STOP = "stop"
    ACCEPT = "accept"


class LogFormat(StrEnum):
    """How `run` writes its log; auto: text on a terminal, else JSON."""

    AUTO = "auto"
    JSON = "json"
    TEXT = "text"


def _is_topic_name(value: str) -> bool:
    return _TOPIC(value) is not None and value not in {".", ".."}


def _topic_name(value: str) -> str:
    if not _is_topic_name(value):
        raise ValueError("a topic name of letters, digits, '.', '_' and '-', at most 249 of them, but not '.' or '..'")
    return value


Topic = Annotated[str, AfterValidator(_topic_name)]
Name = Annotated[str, Field(min_length=1, max_length=200, pattern=r"^[^\x00-\x1f\x7f]+$")]


class CheckpointLocation(NamedTuple):
    """Where `CHECKPOINT_URL` says that checkpoints go.

    Attributes:
        scheme: `file`, `kafka`, or one of `BUCKET_SCHEMES`.
        path: the directory, the topic, or the bucket and, after a `/`, the prefix.
    """

    scheme: str
    path: str


class Settings(BaseSettings):
    """The worker's settings by their environment variables, which are the field names in capitals."""

    model_config = SettingsConfigDict(extra="ignore", frozen=True, env_ignore_empty=True, protected_namespaces=())

    kafka_bootstrap_servers: str | None = Field(
        default=None, description="Brokers, as host:port,host:port; required by all that talks to Kafka."
    )
    input_topic: Topic = Field(default="inventory.transactions", description="Stock transactions.")
    output_topic: Topic = Field(default="inventory.stock-predictions", description="Predictions.")
    dead_letter_topic: Topic = Field(default="inventory.transactions.dead-letters", description="Refused events.")
    consumer_group: Name = Field(
        default="smart-inventory", description="The consumer group; its committed offsets say which state is in force."
    )
    instance_id: Name = Field(
        default_factory=socket.gethostname, description="Unique per worker, stable over restarts."
    )
    processing_guarantee: Guarantee = Field(
        default=Guarantee.EXACTLY_ONCE, description="What readers may rely on: exactly_once or at_least_once."
    )
    commit_interval_ms: int = Field(
        default=200, ge=1, le=5_000, description="Milliseconds from a transaction's first record to its commit."
    )
    checkpoint_url: str = Field(
        default="file:checkpoints", description="Where checkpoints go: a directory, a compacted topic, or a bucket."
    )
    checkpoint_bytes_per_second: int = Field(
        default=20_000_000,
        ge=1,
        le=10**12,
        description="At most so many bytes a second go to a checkpoint store over the network; file: has no bound.",
    )
    checkpoint_interval_seconds: float = Field(
        default=10, gt=0, le=86_400, allow_inf_nan=False, description="Seconds between a partition's checkpoints."
    )
    checkpoint_signing_key: SecretStr | None = Field(
        default=None, description="Signs checkpoints; with it, those not signed by it are refused."
    )
    model: str = Field(default="guarded", description="guarded, linear, or module:function of your own.")
    model_scope: Scope = Field(default=Scope.PARTITION, description="One model per partition, store or item.")
    ml_model_path: str | None = Field(default=None, description="A pickled pipeline that new models begin with.")
    metrics_port: int = Field(default=8000, ge=0, le=65_535, description="/metrics, /livez, /readyz; 0 for a free one.")
    transaction_max_records: int = Field(
        default=50_000, ge=1, le=1_000_000, description="A transaction is committed when it holds so many records."
    )
    seen_ids: int = Field(default=100_000, ge=1, le=10_000_000, description="Identities remembered per partition.")
    item_retire_days: int = Field(
        default=400,
        ge=1,
        le=36_500,
        description="Days of event time after which an item without events leaves, unless its level is above 0.",
    )
    outlook_topic: Topic | None = Field(
        default=None, description="Stock outlooks, a compacted topic; unset, none are learned or published."
    )
    policies_file: str | None = Field(
        default=None, description="A JSON file: lead time, review period, service level, pack size of stores and items."
    )
    store_timezone: str = Field(
        default="UTC",
        description="Where the shops are: an IANA time zone. Their days are closed by it; `evaluate` reads it.",
    )
    max_invalid_ratio: float = Field(default=0.2, ge=0, le=1, description="Stops above this share of invalid records.")
    invalid_window_records: int = Field(
        default=1_000, ge=1, le=10_000_000, description="Records that MAX_INVALID_RATIO is judged over."
    )
    max_quantity: float = Field(default=1e6, gt=0, le=1e6, description="Largest size of a quantity, in units.")
    max_clock_ahead_seconds: int = Field(
        default=86_400,
        ge=0,
        le=1_000_000_000,
        description="Seconds that occurred_at may be ahead of the record's Kafka timestamp.",
    )
    checkpoint_keep: int = Field(default=3, ge=1, le=1_000_000, description="Checkpoints kept per partition.")
    max_replay_records: int = Field(
        default=5_000_000, ge=1, le=10**15, description="Stop before a replay would be longer."
    )
    on_gap: GapPolicy = Field(
        default=GapPolicy.STOP, description="stop or accept, where retention has removed records that are needed."
    )
    shutdown_seconds: float = Field(
        default=20, gt=0, le=86_400, allow_inf_nan=False, description="Seconds that a stop may take."
    )
    watchdog_seconds: float = Field(
        default=90,
        ge=20,
        le=86_400,
        allow_inf_nan=False,
        description="Seconds without a sign of life after which the worker ends itself (exit code 13).",
    )
    log_format: LogFormat = Field(
        default=LogFormat.AUTO, description="json, text, or auto: text on a terminal, else JSON lines."
    )

    def checkpoint_location(self) -> CheckpointLocation:
        """Return the parts of `CHECKPOINT_URL`.

        Raises:
            SettingsError: a scheme that is none of ours, or no place after it.
        """
        scheme, colon, path = self.checkpoint_url.partition(":")
        if scheme == "file" and colon and path:
            return CheckpointLocation(scheme, unquote(path.removeprefix("//")))
        if scheme == "kafka" and _is_topic_name(path):
            return CheckpointLocation(scheme, path)
        if scheme in BUCKET_SCHEMES and _BUCKET(path):
            return CheckpointLocation(scheme, path.removeprefix("//").rstrip("/"))
        if scheme in BUCKET_SCHEMES and set(path) & set("@?#"):
            raise SettingsError(
                f"CHECKPOINT_URL={scheme}://...: expected {scheme}://BUCKET/PREFIX, without user, query or fragment"
            )
        raise SettingsError(
            f"CHECKPOINT_URL={self.checkpoint_url!r}: expected file:DIRECTORY, such as file:checkpoints, "
            "kafka:TOPIC, such as kafka:inventory.checkpoints, or s3://BUCKET/PREFIX, gs:// or az:// likewise"
        )

    def checkpoint_topic(self) -> str | None:
        """Return the topic of `CHECKPOINT_URL`, None where checkpoints are kept elsewhere.

        Raises:
            SettingsError: as for `checkpoint_location`.
        """
        location = self.checkpoint_location()
        return location.path if location.scheme == "kafka" else None

    def signing_key(self) -> bytes | None:
        """Return the bytes of `CHECKPOINT_SIGNING_KEY`; None where it is not set."""
        key = self.checkpoint_signing_key
        return None if key is None else os.fsencode(key.get_secret_value())  # any bytes may be a key


_WORKER_VARIABLES: Final = frozenset({"KAFKA_BOOTSTRAP_SERVERS"})


def load() -> Settings:
    """Read the settings from the environment.

    Raises:
        SettingsError: every setting that is wrong, each with what was expected and what came.
    """
    try:
        return Settings()
    except ValidationError as error:
        problems = [_problem(dict(detail)) for detail in error.errors(include_url=False)]
        raise SettingsError("; ".join(problems)) from None


def check_for_run(settings: Settings) -> None:
    """Refuse settings that no worker can run with, before anything starts.

    Raises:
        SettingsError: there is one.
    """
    if settings.kafka_bootstrap_servers is None:
        raise SettingsError("KAFKA_BOOTSTRAP_SERVERS is not set; expected the brokers, such as localhost:9092")
    if settings.model not in {"guarded", "linear"} and ":" not in settings.model:
        raise SettingsError(f"MODEL={settings.model!r}: expected guarded, linear, or module:function for your own")
    topic = settings.checkpoint_topic()
    others = {settings.input_topic, settings.output_topic, settings.dead_letter_topic}
    if settings.outlook_topic in others:
        raise SettingsError(
            f"OUTLOOK_TOPIC={settings.outlook_topic}: expected a topic of its own; it is another one's too"
        )
    if topic in others | {settings.outlook_topic} - {None}:
        raise SettingsError(
            f"CHECKPOINT_URL={settings.checkpoint_url}: expected a topic of its own; found {topic} twice"
        )


def kafka_properties(environment: Mapping[str, str]) -> dict[str, str]:
    """Return librdkafka's properties that the environment passes through: `KAFKA_X_Y` becomes `x.y`.

    Whether librdkafka knows them is for the Kafka adapter to say; whether the worker owns them, too.
    """
    return {
        name.removeprefix("KAFKA_").lower().replace("_", "."): value
        for name, value in sorted(environment.items())
        if name.startswith("KAFKA_") and name not in _WORKER_VARIABLES and value
    }


def redacted(name: str, value: object) -> str:
    """Return a value fit to be shown: secrets hidden."""
    if isinstance(value, SecretStr) or (_SECRET(name.lower()) and value is not None):
        return "********"
    return "" if value is None else str(value)


def _problem(detail: Mapping[str, Any]) -> str:
    name = str(detail["loc"][0]).upper() if detail["loc"] else "settings"
    expected = str(detail["msg"]).removeprefix("Value error, ").removeprefix("Input should be ")
    shown = redacted(name, detail.get("input"))
    if len(shown) > _MOST_SHOWN:
        shown = f"{shown[:_MOST_SHOWN]}..."
    return f"{name}={shown!r}: expected {expected[0].lower()}{expected[1:]}"
