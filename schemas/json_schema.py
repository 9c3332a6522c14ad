"""JSON Schemas (draft 2020-12) of the contract, generated from its models.

`python -m schemas.json` writes them into `schemas/json`, where they are committed and packaged, so that a till or a
service in any language can check against them; a test holds them to the models.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

import msgspec
from pydantic.json_schema import GenerateJsonSchema

from schemas.dead_letter_headers import DeadLetterHeaders
from schemas.outlook import StockOutlook
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
OUTLOOK: Final = "stock-outlook"


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


def outlook_schema() -> dict[str, Any]:
    """Return the schema of an outlook: it is only ever written, so it has no model that reads."""
    schema = msgspec.json.schema(StockOutlook)
    parts = {name: _described(part) for name, part in schema["$defs"].items()}
    whole = parts.pop(StockOutlook.__name__)
    return {
        "$schema": _Plain.schema_dialect,
        "$id": f"urn:smart-inventory:{OUTLOOK}:{VERSION}",
        **whole,
        "$defs": parts,
    }


def _described(schema: dict[str, Any]) -> dict[str, Any]:
    """Of a class's docstring, keep the first paragraph."""
    first = schema.get("description", "").split("\n\n")[0]
    return schema | {"description": " ".join(first.split())}


def files() -> dict[str, str]:
    """Return the text of each file by its name, in ASCII: patterns hold characters that no editor shows."""
    schemas = {name: json_schema(name) for name in MODELS} | {OUTLOOK: outlook_schema()}
    return {f"{name}.json": json.dumps(schema, indent=2) + "\n" for name, schema in schemas.items()}
