"""The headers of a fetched message, also where the client cannot read them."""

from __future__ import annotations

from operator import methodcaller
from typing import TYPE_CHECKING, Final

from schemas.dead_letter import UNREADABLE_HEADERS

if TYPE_CHECKING:
    from collections.abc import Callable

    from confluent_kafka import Message

    from schemas.dead_letter import Headers

_read: Final[Callable[[Message], Headers | None]] = methodcaller("headers")


def headers_of(message: Message) -> Headers | None:
    """Return a message's headers; those of which one name is no UTF-8 are `UNREADABLE_HEADERS`.

    For such a name the client's binding (2.16) leaves an exception behind and returns a tuple with a hole in it, of
    which any use ends the process. Called directly, as `message.headers()`, a hot loop of Python 3.11 does not notice;
    through `methodcaller` the two together always become a SystemError.
    """
    try:
        return _read(message)
    except (UnicodeDecodeError, SystemError):
        return UNREADABLE_HEADERS
