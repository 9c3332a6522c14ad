"""What the input contract's JSON Schema says beyond what pydantic derives: exactly what `decode` takes, where it can.

The schema never refuses what the decoder takes. What JSON Schema cannot express stands in a `$comment`, so that a till
which passes the schema knows what may still be refused. Patterns keep to the syntax that ECMAScript, Python, Java, Go
and Rust have in common: no look-around, no classes such as that for digits, whose meanings differ.
"""

from __future__ import annotations

from typing import Any, Final

JsonSchema = dict[str, Any]

_CONTROLS: Final = r"\x00-\x1f\x7f-\x9f"
# Unicode's White_Space, which the decoder strips from ids: what of it is no control character, and all of it. As
# characters where they are not ASCII, because the engines' escapes for them differ.
_BLANKS: Final = " \xa0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000"
_SPACES: Final = rf"\x09-\x0d\x85{_BLANKS}"
_NUMBER: Final = r"^-?[0-9]+(\.[0-9]+)?$"
_TIME: Final = (
    r"^(1999|[2-9][0-9]{3})-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])"
    r"[Tt]([01][0-9]|2[0-3]):[0-5][0-9]:([0-5][0-9]|60)(\.[0-9]+)?"
    r"([Zz]|[+-]([01][0-9]|2[0-3]):[0-5][0-9])$"
)
# Python's `$` also matches before a line feed that ends the text; elsewhere this adds nothing.
_NO_LINE_FEED: Final[JsonSchema] = {"not": {"pattern": "\n"}}

# Behind the sixth decimal no digit makes a valid number, and far behind it none makes the nearest double other than 0.
_DIGITS: Final = r"(0*[1-9]|0+\.0{0,5}[1-9])"
_ABOVE_0: Final[JsonSchema] = {
    "anyOf": [{"type": "number", "exclusiveMinimum": 0}, {"type": "string", "pattern": f"^{_DIGITS}"}]
}
_BELOW_0: Final[JsonSchema] = {
    "anyOf": [{"type": "number", "exclusiveMaximum": 0}, {"type": "string", "pattern": f"^-{_DIGITS}"}]
}


def identifier(max_length: int | None) -> JsonSchema:
    """Return the schema of an id: a string, of which only what remains once stripped is bounded, or an integer."""
    inner = "*" if max_length is None else f"{{0,{max_length - 2}}}"
    ends = f"[^{_CONTROLS}{_BLANKS}]"
    text = f"^[{_SPACES}]*{ends}([^{_CONTROLS}]{inner}{ends})?[{_SPACES}]*$"
    digits: JsonSchema = {"type": "integer"}
    if max_length is not None:
        digits |= {"exclusiveMinimum": -(10 ** (max_length - 1)), "exclusiveMaximum": 10**max_length}
    size = "at least 1 character" if max_length is None else f"1 to {max_length} characters"
    return {
        "anyOf": [{"type": "string", "pattern": text}, digits],
        "$comment": f"{size} once white space at both ends is stripped, without control characters; an integer is "
        "taken as its digits. Not expressed: 1.0 is no integer to the decoder, and a lone surrogate is no text.",
    }


def number(minimum: float, maximum: float, *, decimals: int | None) -> JsonSchema:
    """Return the schema of a number, which may also come as a string of plain decimal digits."""
    unsaid = "the same bounds on a number that comes as a string"
    if decimals is not None:
        unsaid += f"; at most {decimals} decimals (multipleOf is not safe with binary fractions)"
    return {
        "anyOf": [
            {"type": "number", "minimum": minimum, "maximum": maximum},
            {"type": "string", "pattern": _NUMBER, **_NO_LINE_FEED},
        ],
        "$comment": f"Not expressed: {unsaid}.",
    }


def moment() -> JsonSchema:
    """Return what the schema of `occurred_at` says beyond being a string."""
    return {
        "pattern": _TIME,
        **_NO_LINE_FEED,
        "$comment": "Not expressed: the day exists; the instant is not before 2000-01-01T00:00:00Z and at most "
        "MAX_CLOCK_AHEAD_SECONDS (a day) after the record's own Kafka timestamp.",
    }


def complete_transaction(schema: JsonSchema) -> None:
    """Add to the transaction's schema the rules that look at several fields."""
    schema["required"].remove("occurred_at")
    timestamp = {"type": "string", **moment()}
    schema["properties"]["timestamp"] = {"description": "Another name for occurred_at; ignored where both are given."}
    schema["allOf"] = [
        {
            "$comment": "occurred_at, or else its other name.",
            "anyOf": [
                {"required": ["occurred_at"]},
                {"required": ["timestamp"], "properties": {"timestamp": timestamp}},
            ],
        },
        {
            "$comment": "A count sets the level; any other transaction moves a quantity.",
            "if": _type_is("count"),
            "then": {"required": ["new_stock_level"], "properties": {"new_stock_level": {"not": {"type": "null"}}}},
            "else": {"properties": {"quantity": {"not": {"type": "null"}}}},
        },
        {
            "$comment": "These take stock away.",
            "if": _type_is("sale", "transfer_out", "waste"),
            "then": {"properties": {"quantity": {"not": _ABOVE_0}}},
        },
        {
            "$comment": "These bring it.",
            "if": _type_is("receipt", "return", "transfer_in"),
            "then": {"properties": {"quantity": {"not": _BELOW_0}}},
        },
    ]


def _type_is(*kinds: str) -> JsonSchema:
    return {"required": ["transaction_type"], "properties": {"transaction_type": {"enum": list(kinds)}}}
