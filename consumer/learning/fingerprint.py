"""The fingerprint: everything that gives predictions their meaning, in one digest.

Two workers with the same fingerprint turn the same log into the same predictions. What is not in it (the group, the
commit and checkpoint intervals) may change freely; what is in it never changes silently.
"""

from __future__ import annotations

import hashlib
import sys
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import msgspec
import river

from consumer.learning.features import FEATURE_NAMES
from consumer.learning.size import MAX_OUTPUT_BYTES

if TYPE_CHECKING:
    from collections.abc import Mapping
    from zoneinfo import ZoneInfo

    from consumer.learning.model import ModelScope
    from consumer.outlook.policies import Policies
    from schemas.transaction import Limits

STATE_FORMAT: Final = 4
"""Raised whenever a snapshot's sections change their meaning."""

OUTLOOK_FORMAT: Final = 1
"""Raised whenever an outlook's formulas, constants or sections change: what was learned means something else then."""

MODEL_ID_DIGITS: Final = 12

ITEM_RETIRE_DAYS: Final = 400
"""A year, and a month to spare: what is sold in one season only keeps what was learned of it."""


class OutlookSettings(NamedTuple):
    """What the outlook depends on.

    Attributes:
        zone: the shops' time zone.
        zone_data: the version of the time zone data.
        policies: how stock is replenished.
    """

    zone: ZoneInfo
    zone_data: str
    policies: Policies


class LearningSettings(NamedTuple):
    """The settings that a prediction depends on.

    Attributes:
        outlook: None where no outlook is learned.
        item_retire_days: days of event time after which an item leaves that has no event and no level above 0.
        warm_start: digest of the model that new models begin with (`ML_MODEL_PATH`), None where there is none.
        max_output_bytes: size above which a record is `too_large` (see `consumer.learning.size`).
    """

    model: str
    scope: ModelScope
    seen_ids: int
    invalid_window_records: int
    limits: Limits
    max_output_bytes: int = MAX_OUTPUT_BYTES
    warm_start: str | None = None
    item_retire_days: int = ITEM_RETIRE_DAYS
    outlook: OutlookSettings | None = None


class Fingerprint(NamedTuple):
    """The meaning of a model: its parts in plain types, and their digest.

    Attributes:
        parts: what went in, so that a refusal can name the difference.
        digest: SHA-256 of the parts as canonical JSON, hexadecimal.
    """

    parts: dict[str, Any]
    digest: str

    @property
    def model_id(self) -> str:
        """The short form that each prediction carries."""
        return self.digest[:MODEL_ID_DIGITS]


def fingerprint(settings: LearningSettings, parameters: Mapping[str, Any]) -> Fingerprint:
    """Return the fingerprint of these settings on this Python and this River.

    Args:
        settings: the settings that a prediction depends on.
        parameters: those of the model (`ModelKind.parameters`), in plain types.
    """
    parts = {
        "MODEL": settings.model,
        **parameters,
        "ML_MODEL_PATH": settings.warm_start,
        "features": list(FEATURE_NAMES),
        "MODEL_SCOPE": settings.scope.value,
        "SEEN_IDS": settings.seen_ids,
        "INVALID_WINDOW_RECORDS": settings.invalid_window_records,
        "ITEM_RETIRE_DAYS": settings.item_retire_days,
        "MAX_QUANTITY": settings.limits.max_quantity,
        "MAX_CLOCK_AHEAD_SECONDS": settings.limits.max_clock_ahead_seconds,
        "largest output in bytes": settings.max_output_bytes,
        "river": river.__version__,
        "python": f"{sys.version_info.major}.{sys.version_info.minor}",
        "state_format": STATE_FORMAT,
    }
    if settings.outlook is not None:  # else the fingerprint stays as it was before there were outlooks
        parts |= {
            "OUTLOOK_TOPIC": "set",
            "outlook": OUTLOOK_FORMAT,
            "STORE_TIMEZONE": str(settings.outlook.zone),
            "tzdata": settings.outlook.zone_data,
            "POLICIES_FILE": settings.outlook.policies.digest,
        }
    digest = hashlib.sha256(msgspec.json.encode(parts, order="deterministic")).hexdigest()
    return Fingerprint(parts, digest)
