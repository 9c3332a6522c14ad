"""Where a checkpoint lies below a directory or a bucket's prefix: `<group>/<topic>/<partition>/<offset>-<digest>`."""

from __future__ import annotations

import re
from hashlib import blake2b
from typing import Final
from urllib.parse import quote, unquote

from consumer.checkpoint.store import CheckpointName

_FILE_NAME: Final = re.compile(r"(\d{20})-([0-9a-f]{16,64})\.checkpoint", re.ASCII).fullmatch
_PARTITION: Final = re.compile(r"0|[1-9]\d{0,9}", re.ASCII).fullmatch
_SHORTENED: Final = re.compile(r"[A-Za-z0-9_%-]{100}~[0-9a-f]{32}", re.ASCII).fullmatch
_PARTS: Final = 4

_LONGEST_COMPONENT: Final = 200
_KEPT_CHARACTERS: Final = 100


def path_of(name: CheckpointName) -> str:
    """Return the path of a checkpoint, with `/` between its parts."""
    return f"{folder_of(name.group, name.topic, name.partition)}/{name.offset:020d}-{name.digest}.checkpoint"


def folder_of(group: str, topic: str | None = None, partition: int | None = None) -> str:
    """Return the path of what a group, a topic of it, or a partition of that has; without a `/` at its end."""
    parts = [component(group)]
    if topic is not None:
        parts.append(component(topic))
        if partition is not None:
            parts.append(str(partition))
    return "/".join(parts)


def name_at(path: str) -> CheckpointName | None:
    """Return what a path says that a checkpoint is; None where it is no checkpoint's path.

    A group or topic whose name was too long for one component comes back as that component, which leads to the same
    path.
    """
    parts = path.split("/")
    if len(parts) != _PARTS or not _PARTITION(parts[2]):
        return None
    stated = stated_in(parts[3])
    return CheckpointName(_decoded(parts[0]), _decoded(parts[1]), int(parts[2]), *stated) if stated else None


def stated_in(file_name: str) -> tuple[int, str] | None:
    """Return the offset and the digest that a checkpoint's file name states, None where it is no such name."""
    found = _FILE_NAME(file_name)
    return (int(found[1]), found[2]) if found else None


def component(text: str) -> str:
    """Percent-encode a name for one path component; dots too, so that no group is called `..`.

    File systems take 255 bytes: what would be longer keeps its beginning, to be recognised, and ends in its hash. The
    tilde before it never comes out of the encoding, so no other name reads the same.
    """
    if _SHORTENED(text):  # as it came out of `name_at`
        return text
    encoded = quote(text, safe="").replace(".", "%2E").replace("~", "%7E")
    if len(encoded) <= _LONGEST_COMPONENT:
        return encoded
    return f"{encoded[:_KEPT_CHARACTERS]}~{blake2b(text.encode(), digest_size=16).hexdigest()}"


def _decoded(part: str) -> str:
    return part if _SHORTENED(part) else unquote(part)
