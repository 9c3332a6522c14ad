"""JSON Schemas (draft 2020-12) of the contract, generated from its models.

`python -m schemas.json` writes them into `schemas/json`, where they are committed and packaged, so that a till or a
service in any language can check against them; a test holds them to the models.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

from pydantic.json_schema import GenerateJsonSchema

from schemas.dead_letter_headers import DeadLetterHeaders
from schemas.prediction import StockPrediction
from schemas.transaction import InventoryTransaction

if TYPE_CHECKING:
    from pydantic import BaseModel

VERSION: Final = 1
MODELS: Final[dict[str, type[BaseModel]]] = {
    "inventory-transaction": InventoryTransaction,
    "stock-prediction": StockPrediction,
    "dead-letter-headers": DeadLetterHeaders,
}
"""The models by the names of their files."""


class _Plain(GenerateJsonSchema):
    """In the models' own order, and without titles that only repeat a field's name."""

    def field_title_should_be_set(self, schema: Any) -> bool:  # noqa: ANN401, ARG002 -- pydantic's own signature
        return False

    def sort(self, value: Any, parent_key: str | None = None) -> Any:  # noqa: ANN401, ARG002 -- likewise
        return value


def json_schema(name: str) -> dict[str, Any]:
    """Return the schema of one of `MODELS`."""
    schema = MODELS[name].model_json_schema(schema_generator=_Plain)
    schema["description"] = " ".join(schema["description"].split())
    schema.setdefault("title", MODELS[name].__name__)
    return {
        "$schema": _Plain.schema_dialect,
        "$id": f"urn:smart-inventory:{name}:{VERSION}",
        "title": schema.pop("title"),
        **schema,
    }


def files() -> dict[str, str]:
    """Return the text of each file by its name, in ASCII: patterns hold characters that no editor shows."""
    return {f"{name}.json": json.dumps(json_schema(name), indent=2) + "\n" for name in MODELS}
