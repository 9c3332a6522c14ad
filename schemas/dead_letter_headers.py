"""The dead letter's headers as one model, for services that read dead letters and for the exported schema."""

from __future__ import annotations

from typing import Annotated, Any, Final

from pydantic import BaseModel, ConfigDict, Field
from pydantic.json_schema import SkipJsonSchema

from schemas.dead_letter import Reason

_NUMBER: Final = r"^(0|[1-9][0-9]{0,18})$"
_OF_TOO_LARGE: Final = ("error.size.key", "error.size.value", "error.size.headers", "error.sha256")

Number = Annotated[str, Field(pattern=_NUMBER)]


def _sizes_of_too_large(schema: dict[str, Any]) -> None:
    for name in _OF_TOO_LARGE:  # absent where they do not apply, never null
        del schema["properties"][name]["default"]
    schema["if"] = {"properties": {"error.reason": {"const": "too_large"}}}
    schema["then"] = {"required": list(_OF_TOO_LARGE)}


class DeadLetterHeaders(BaseModel):
    """A dead letter's headers, names and values as UTF-8 text.

    All other headers are the original record's, byte for byte. A `too_large` letter carries neither the original's
    value, key nor headers, but their sizes in bytes and the value's SHA-256.
    """

    model_config = ConfigDict(extra="allow", frozen=True, json_schema_extra=_sizes_of_too_large)

    reason: Reason = Field(alias="error.reason", description="The first rule of the contract that the record breaks.")
    message: str = Field(
        alias="error.message", description="One sentence from a fixed set; holds nothing of the event."
    )
    topic: str = Field(alias="error.topic", description="The original record's topic.")
    partition: Number = Field(alias="error.partition", description="Its partition.")
    offset: Number = Field(alias="error.offset", description="Its offset.")
    timestamp: str = Field(
        alias="error.timestamp",
        pattern=r"^(-1|0|[1-9][0-9]{0,18})$",
        description="Its Kafka timestamp in milliseconds since 1970 UTC, -1 where it had none.",
    )
    attempts: str = Field(
        alias="error.attempts",
        pattern=r"^[1-9][0-9]{0,6}$",
        description="How often the event has been refused, redrives included.",
    )
    size_key: Number | SkipJsonSchema[None] = Field(
        default=None, alias="error.size.key", description="too_large only: bytes of the original's key."
    )
    size_value: Number | SkipJsonSchema[None] = Field(
        default=None, alias="error.size.value", description="too_large only: bytes of the original's value."
    )
    size_headers: Number | SkipJsonSchema[None] = Field(
        default=None, alias="error.size.headers", description="too_large only: bytes of the original's headers."
    )
    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")] | SkipJsonSchema[None] = Field(
        default=None, alias="error.sha256", description="too_large only: SHA-256 of the original's value."
    )
