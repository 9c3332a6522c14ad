"""A broker for a pytest session."""

import os
from collections.abc import Iterator

import pytest

from .broker import Broker
from .choice import find_broker

# The coordinator looks for transactions that have timed out every 10 s. Each test that waits for one waited that long.
_EAGER = {"transaction.abort.timed.out.transaction.cleanup.interval.ms": "1000"}


def session_broker() -> Iterator[Broker]:
    """Yield a ready broker and stop it afterwards; a fixture delegates to it with `yield from`.

    Without one, the test is skipped with the reason, but fails where the variable CI is `true`: there, a broker is
    part of the promise. A broker that is there and does not start is an error everywhere.
    """
    choice = find_broker()
    if not choice.available:
        if os.environ.get("CI") == "true":
            pytest.fail(str(choice), pytrace=False)
        pytest.skip(str(choice))
    with choice.start(properties=None if choice.kind == "external" else _EAGER) as broker:
        yield broker
