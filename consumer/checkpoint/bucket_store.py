"""Checkpoints in a bucket: `CHECKPOINT_URL=s3://bucket/prefix`, `gs://...` or `az://...`, for workers on any host."""

from __future__ import annotations

import time
import uuid
from typing import TYPE_CHECKING, Final

from consumer.checkpoint.paths import folder_of, name_at, path_of
from consumer.checkpoint.store import CheckpointName, Kept, StoreError, UnreachableError

if TYPE_CHECKING:
    from collections.abc import Callable

    from consumer.checkpoint.bucket import Bucket
    from consumer.checkpoint.envelope import Data

_TRIAL_BYTES: Final = 1_024
_TRIAL_SECONDS: Final = 40.0
"""A store that needs longer for so little could not keep up either; each of the calls is bounded as well."""


class BucketStore:
    """One object a checkpoint, under the path that a directory would have.

    Nothing is kept beside the objects, so any number of processes may read, list and delete at once. An object is put
    in one request, so that it is there whole or not at all; its name says its content, so to put it twice changes
    nothing.

    Args:
        bucket: where the objects are.
        throttle: called with the size of each object before it is sent; it may wait.
    """

    def __init__(self, bucket: Bucket, throttle: Callable[[int], None] = lambda _size: None) -> None:
        self._bucket = bucket
        self._throttle = throttle
        self._trial = f"trial-{uuid.uuid4()}.tmp"

    def write(self, name: CheckpointName, data: Data) -> None:
        """Put the object, and ask for its size: what a proxy on the way has cut short is no checkpoint."""
        self._throttle(len(data))
        self._put(path_of(name), data)

    def read(self, name: CheckpointName) -> bytes | None:
        """Return the object, None where the bucket says that there is none."""
        return self._bucket.get(path_of(name))

    def read_beginning(self, name: CheckpointName, length: int) -> bytes | None:
        """Return the object's first bytes, None where there is none."""
        return self._bucket.get(path_of(name), length)

    def names(self, group: str, topic: str, partition: int) -> list[CheckpointName]:
        """List the partition's folder; objects of other names are none of ours and stay out."""
        found = (name_at(each.path) for each in self._bucket.listed(folder_of(group, topic, partition)))
        # By what was asked for: a name that was too long for a folder comes back as that folder.
        return [CheckpointName(group, topic, partition, each.offset, each.digest) for each in found if each is not None]

    def kept(self, group: str | None = None, topic: str | None = None) -> list[Kept]:
        """Return every checkpoint's object, or those of a group, or those of a group and topic, in order."""
        found = []
        for each in self._bucket.listed_below("" if group is None else folder_of(group, topic)):
            name = name_at(each.path)
            if name is not None and (topic is None or folder_of(topic) == folder_of(name.topic)):
                found.append(Kept(name, each.size, each.written, self._bucket.url(each.path)))
        return sorted(found)

    def delete(self, name: CheckpointName) -> None:
        """Delete the object."""
        self._bucket.delete(path_of(name))

    def check(self, group: str, topic: str) -> None:
        """Put an object, list it, read it and delete it.

        Raises:
            UnreachableError: the bucket did not answer, or is busy.
            StoreError: one of these could not be done.
        """
        try:
            self._try_out(folder_of(group, topic))
        except UnreachableError as error:
            raise UnreachableError(f"{self._bucket.url()}: {error}; make it reachable") from error
        except StoreError as error:
            raise StoreError(f"{self._bucket.url()}: {error}") from error

    def where(self) -> str:
        """Name the bucket."""
        return f"bucket {self._bucket.url()}"

    def _try_out(self, folder: str) -> None:
        trial = f"{folder}/{self._trial}"
        data = bytes(_TRIAL_BYTES)
        began = time.monotonic()
        self._put(trial, data)
        listed = {each.path for each in self._bucket.listed(folder)}
        found = self._bucket.get(trial)
        seconds = time.monotonic() - began
        if seconds > _TRIAL_SECONDS:
            raise UnreachableError(f"to write, list and read {_TRIAL_BYTES} bytes took {seconds:.0f} s")
        if trial not in listed or found != data:
            raise StoreError(
                f"{self._bucket.url(trial)}, which was just written, is not shown; use a store that shows at once what "
                "was written, without a cache in between"
            )
        self._bucket.delete(trial)

    def _put(self, path: str, data: Data) -> None:
        self._bucket.put(path, data)
        size = self._bucket.size(path)
        if size != len(data):
            raise StoreError(f"{self._bucket.url(path)} holds {size} of the {len(data)} bytes that were written")
