"""Python's hash seed, fixed: a model's last bits may depend on it.

A River pipeline may walk a set of strings, whose order follows the seed; one with two `Select` branches gave another
last digit under one seed of five. So the worker runs under a seed derived from its group and signing key: secret
enough to keep hash collisions hard to craft where a key is set, and the same after every restart.
"""

from __future__ import annotations

import hashlib
import os
import sys
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

VARIABLE: Final = "PYTHONHASHSEED"
DEFAULT_GROUP: Final = "smart-inventory"


def derive(group: str, signing_key: str) -> str:
    """Return the seed, a decimal number below 2**32, of a group and signing key."""
    digest = hashlib.sha256(f"{group}\x00{signing_key}".encode(errors="surrogateescape")).digest()
    return str(int.from_bytes(digest[:4], "big"))


def ensure(environment: Mapping[str, str]) -> None:
    """Replace this process by itself under the right seed, unless it runs under it already.

    To be called before the heavy imports, which would otherwise be paid twice. The process id stays the same.
    """
    seed = derive(environment.get("CONSUMER_GROUP") or DEFAULT_GROUP, environment.get("CHECKPOINT_SIGNING_KEY") or "")
    if environment.get(VARIABLE) == seed:
        return
    os.environ[VARIABLE] = seed
    os.execv(sys.executable, [sys.executable, *sys.orig_argv[1:]])  # noqa: S606 -- ourselves, with our own arguments
