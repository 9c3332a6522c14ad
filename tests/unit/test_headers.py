"""Headers of fetched messages: what the client can read, and what it cannot."""

from __future__ import annotations

from typing import Any

import pytest

from consumer.kafka.headers import headers_of
from schemas.dead_letter import UNREADABLE_HEADERS, InvalidEvent, Reason, dead_letter_headers, headers_size


class Message:
    """A message whose headers are these, or whose reading fails as the binding's does."""

    def __init__(self, answer: Any) -> None:
        self.answer = answer

    def headers(self) -> Any:
        if isinstance(self.answer, BaseException):
            raise self.answer
        return self.answer


@pytest.mark.parametrize("headers", [None, [], [("a", b"1"), ("a", None), ("", b"")]])
def test_readable_headers_are_as_they_are(headers: Any) -> None:
    """Order, repeats, empty names and null values included."""
    assert headers_of(Message(headers)) is headers  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "error",
    [
        UnicodeDecodeError("utf-8", b"\xed\xa0\x80", 0, 1, "invalid continuation byte"),
        SystemError("returned a result with an exception set"),
    ],
)
def test_unreadable_headers_stop_nothing(error: Exception) -> None:
    """A name that is no UTF-8 costs the record its headers, and nobody the worker; on a real broker likewise."""
    headers = headers_of(Message(error))  # type: ignore[arg-type]
    assert headers == UNREADABLE_HEADERS
    assert headers_size(headers) == len("unreadable-headers")
    letter = dead_letter_headers(
        headers, invalid=InvalidEvent(Reason.NOT_JSON), topic="t", partition=0, offset=1, timestamp_ms=2
    )
    assert letter[0] == ("unreadable-headers", None)


def test_another_error_comes_out() -> None:
    """Only what the binding is known to raise is taken for an unreadable name."""
    with pytest.raises(ValueError, match="other"):
        headers_of(Message(ValueError("other")))  # type: ignore[arg-type]
