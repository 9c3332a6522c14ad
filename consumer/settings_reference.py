"""Writes docs/configuration.md from the settings themselves: `python -m consumer.settings_reference docs`.

A test holds the page to this, so that no default, range or meaning stands in two places.
"""

from __future__ import annotations

import sys
import textwrap
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from zoneinfo import ZoneInfo

from pydantic_core import PydanticUndefined

from consumer.kafka.broker import OWNED
from consumer.learning.fingerprint import LearningSettings, OutlookSettings, fingerprint
from consumer.learning.model import ModelScope
from consumer.outlook.policies import Policies
from consumer.settings import Settings
from schemas.transaction import Limits

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pydantic.fields import FieldInfo

PAGE: Final = "configuration.md"

_GROUPS: Final[dict[str, tuple[str, ...]]] = {
    "Kafka": ("kafka_bootstrap_servers", "input_topic", "output_topic", "dead_letter_topic"),
    "Who a worker is": ("consumer_group", "instance_id", "metrics_port"),
    "Guarantee and commits": ("processing_guarantee", "commit_interval_ms", "transaction_max_records"),
    "Model": ("model", "model_scope", "ml_model_path", "item_retire_days"),
    "Outlook": ("outlook_topic", "policies_file", "store_timezone"),
    "What is a valid event": (
        "seen_ids",
        "max_quantity",
        "max_clock_ahead_seconds",
        "max_invalid_ratio",
        "invalid_window_records",
    ),
    "Checkpoints and recovery": (
        "checkpoint_url",
        "checkpoint_bytes_per_second",
        "checkpoint_interval_seconds",
        "checkpoint_keep",
        "checkpoint_signing_key",
        "max_replay_records",
        "on_gap",
        "shutdown_seconds",
        "watchdog_seconds",
    ),
}

_FORMS: Final = {
    "kafka_bootstrap_servers": "text",
    "checkpoint_url": "`file:DIRECTORY`, `kafka:TOPIC`, `s3://BUCKET/PREFIX`, `gs://BUCKET/PREFIX`, "
    "`az://CONTAINER/PREFIX`",
    "checkpoint_signing_key": "text",
    "model": "`guarded`, `linear`, `module:function`",
    "ml_model_path": "path of a file",
    "policies_file": "path of a file",
    "outlook_topic": "a topic's name",
    "store_timezone": "name, such as `Europe/Berlin`",
    "input_topic": "a topic's name",
    "output_topic": "a topic's name",
    "dead_letter_topic": "a topic's name",
}
"""Ranges that no bound or list of words says: text with a form of its own."""

_HEAD: Final = """\
# Configuration

<!-- Written by `python -m consumer.settings_reference docs`; held to the code by a test. -->

All settings are environment variables. An empty variable counts as not set. They are judged together before anything
starts: every wrong one is named, with what was expected and what came, and the exit code is 2. `smart-inventory config`
shows what is in force, secrets hidden.

**Fixed** settings give predictions their meaning; together with the versions of River and Python (3.11, 3.12, ...) and
the input topic's size limit they are the *fingerprint*. With another one a worker refuses to go on under the same group
and says what was and what is. To change one, either stop cleanly and start once with `run --adopt-state`
([operations](operations.md#recovery)), or take a new `CONSUMER_GROUP` with new output topics: the input is then read
from its beginning. Changing `CHECKPOINT_SIGNING_KEY` has [a way of its own](operations.md#recovery). A new
`CONSUMER_GROUP` or `INPUT_TOPIC` is a new beginning. All others may change at any restart.
"""

_TAIL: Final = """\
## Kafka's own settings

Every other variable of the form `KAFKA_X_Y` becomes librdkafka's property `x.y`
([their list](https://github.com/confluentinc/librdkafka/blob/master/CONFIGURATION.md)):
`KAFKA_SECURITY_PROTOCOL=SASL_SSL`, `KAFKA_SASL_MECHANISM`, `KAFKA_SASL_USERNAME`, `KAFKA_SASL_PASSWORD`,
`KAFKA_SSL_CA_LOCATION`, `KAFKA_SESSION_TIMEOUT_MS` and so on. A value that librdkafka refuses stops the start. A name
that it does not know (Kubernetes injects `KAFKA_PORT`) is ignored with one warning.

Refused, because guarantees depend on them: """


def page() -> str:
    """Return the text of docs/configuration.md."""
    fixed = _fixed()
    parts = [_HEAD]
    others = tuple(name for name in Settings.model_fields if not any(name in names for names in _GROUPS.values()))
    for title, names in {**_GROUPS, **({"Others": others} if others else {})}.items():
        rows = [_row(name, is_fixed=name in fixed) for name in names]
        head = "| variable | default | range | meaning | fixed |\n| --- | --- | --- | --- | --- |"
        parts.append(f"## {title}\n\n{head}\n" + "\n".join(rows) + "\n")
    owned = ", ".join(f"`{name}`" for name in sorted(OWNED | {"enable.auto.*"}))
    last = textwrap.fill(f"{_TAIL.splitlines()[-1]}{owned}.", 120, break_on_hyphens=False)
    return "\n".join([*parts, *_TAIL.splitlines()[:-1], last, ""])


def _fixed() -> set[str]:
    """Return the settings that are part of the fingerprint, asked of the fingerprint itself."""
    settings = Settings.model_construct()
    learning = LearningSettings(
        model=settings.model,
        scope=ModelScope(settings.model_scope.value),
        seen_ids=settings.seen_ids,
        invalid_window_records=settings.invalid_window_records,
        limits=Limits(),
        item_retire_days=settings.item_retire_days,
        outlook=OutlookSettings(ZoneInfo(settings.store_timezone), "", Policies()),
    )
    return {name.lower() for name in fingerprint(learning, {}).parts if name.isupper()}


def _row(name: str, *, is_fixed: bool) -> str:
    field = Settings.model_fields[name]
    cells = (
        f"`{name.upper()}`",
        _default(field),
        _range(name, field),
        field.description or "",
        "yes" if is_fixed else "",
    )
    return "| " + " | ".join(cells) + " |"


def _default(field: FieldInfo) -> str:
    if field.default is PydanticUndefined:
        return "the host's name"
    return "none" if field.default is None else f"`{_plain(field.default)}`"


def _range(name: str, field: FieldInfo) -> str:
    """Say which values a setting takes: its words, its bounds, or its form."""
    if name in _FORMS:
        return _FORMS[name]
    if isinstance(field.annotation, type) and issubclass(field.annotation, StrEnum):
        return ", ".join(f"`{word}`" for word in field.annotation)
    bounds: dict[str, Any] = {}
    for constraint in field.metadata:
        for bound in ("ge", "gt", "le", "min_length", "max_length"):
            value = getattr(constraint, bound, None)
            if value is not None:
                bounds[bound] = value
    if "max_length" in bounds:
        return f"{bounds['min_length']} to {bounds['max_length']} characters"
    low = f"{_plain(bounds['ge'])}" if "ge" in bounds else f"above {_plain(bounds['gt'])}"
    return f"{low} to {_plain(bounds['le'])}"


def _plain(value: object) -> str:
    """Return a value as one would write it in the environment."""
    return (
        f"{value:g}"
        if isinstance(value, float) and value < 1
        else f"{value:.0f}"
        if isinstance(value, float)
        else str(value)
    )


def main(directories: Sequence[str]) -> None:
    """Write the page into each directory and name it; without one, to standard output."""
    if not directories:
        sys.stdout.write(page())
    for directory in directories:
        path = Path(directory) / PAGE
        path.write_text(page(), encoding="utf-8")
        sys.stdout.write(f"{path}\n")


if __name__ == "__main__":
    main(sys.argv[1:])
