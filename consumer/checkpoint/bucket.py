"""Calls to a bucket of S3, Google Cloud or Azure that end in time, and errors in one sentence without a secret."""

from __future__ import annotations

import asyncio
import os
import re
import time
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final, NamedTuple, TypeVar

import obstore
from obstore import exceptions
from obstore.store import AzureStore, GCSStore, S3Store

from consumer.checkpoint.store import StoreError, UnreachableError
from consumer.errors import SettingsError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from obstore import ObjectMeta

    from consumer.checkpoint.envelope import Data

T = TypeVar("T")

ANSWER_SECONDS: Final = 20.0
"""How long a call may take, its retries included, before a byte of a checkpoint is counted."""

SLOWEST_BYTES_PER_SECOND: Final = 1_048_576
"""What a line must carry: a call may take a second longer for each so many bytes."""

_CONNECT_SECONDS: Final = 5.0
_MOST_RETRIES: Final = 3
_RETRY_SECONDS: Final = 10.0
_LONGEST_SENTENCE: Final = 300
_REFUSED: Final = re.compile(r"status code: 4(?!08|29)\d\d").search
_ACCOUNT: Final = "AZURE_STORAGE_ACCOUNT_NAME"


class Listed(NamedTuple):
    """An object in a bucket.

    Attributes:
        path: below the bucket's prefix.
        size: bytes.
        written: when, seconds since 1970.
    """

    path: str
    size: int
    written: float


class Bucket:
    """One bucket or container, below a prefix; credentials and endpoint come from the library's own variables.

    Every call ends within `ANSWER_SECONDS`, and one that carries a checkpoint within a second more per
    `SLOWEST_BYTES_PER_SECOND` of it: then it is cancelled, its connection closed. The library's own time-outs do not do
    that: they bound one attempt, be it a few bytes or a whole checkpoint.

    Args:
        scheme: `s3`, `gs` or `az`.
        path: the bucket, and the prefix after a `/` if there is one.
        answer_seconds: instead of `ANSWER_SECONDS`.

    Raises:
        SettingsError: the library refuses its variables.
    """

    def __init__(self, scheme: str, path: str, answer_seconds: float = ANSWER_SECONDS) -> None:
        self._url = f"{scheme}://{path}"
        self._answer_seconds = answer_seconds
        try:
            self._store = _opened(scheme, *path.partition("/")[::2])
        except Exception as error:
            raise SettingsError(f"CHECKPOINT_URL={self._url}: {_sentence(error)}; see docs/operations.md") from error

    def url(self, path: str = "") -> str:
        """Return the address of the bucket, or of an object in it."""
        return f"{self._url}/{path}" if path else self._url

    def put(self, path: str, data: Data) -> None:
        """Put an object in one request: the bucket shows all of it or nothing, whenever the line breaks.

        Raises:
            StoreError: it may be there or not.
        """
        seconds = self._answer_seconds + len(data) / SLOWEST_BYTES_PER_SECOND
        # One request also where the library would send parts: an upload that is cut leaves nothing to be swept up.
        self._call(
            lambda _: obstore.put_async(self._store, path, data, use_multipart=False),
            seconds,
            f"write {self.url(path)}",
        )

    def get(self, path: str, length: int | None = None) -> bytes | None:
        """Return an object, or its first bytes; None where the bucket says that there is none.

        Raises:
            StoreError: the bucket did not say.
        """
        try:
            return self._call(
                lambda limit: self._get(path, length, limit), self._answer_seconds, f"read {self.url(path)}"
            )
        except _AbsentError:
            # "Not found" is what is answered for a bucket that is not there as well, and that would be another matter.
            self.listed("")
            return None

    def size(self, path: str) -> int:
        """Return the size of an object that must be there.

        Raises:
            StoreError: it is not, or the bucket did not say.
        """
        what = f"read {self.url(path)}"
        return self._call(lambda _: obstore.head_async(self._store, path), self._answer_seconds, what)["size"]

    def listed(self, folder: str) -> list[Listed]:
        """Return what lies in a folder itself, in the order of paths.

        Raises:
            StoreError: the bucket did not say.
        """
        return self._call(lambda _: self._list(folder), self._answer_seconds, f"list {self.url(folder)}")

    def listed_below(self, folder: str) -> list[Listed]:
        """Return what lies in a folder and in those below, in the order of paths; for commands.

        Raises:
            StoreError: the bucket did not say. Of a call that hung, the library keeps the connection.
        """
        return self._call(lambda _: self._list_below(folder), self._answer_seconds, f"list {self.url(folder)}")

    def delete(self, path: str) -> None:
        """Delete an object; where there is none, nothing is done.

        Raises:
            StoreError: it may be there or not.
        """
        try:
            self._call(
                lambda _: obstore.delete_async(self._store, path), self._answer_seconds, f"delete {self.url(path)}"
            )
        except _AbsentError:
            self.listed("")

    async def _get(self, path: str, length: int | None, limit: asyncio.Timeout) -> bytes:
        options: Any = None if length is None else {"range": (0, length)}
        found = await obstore.get_async(self._store, path, options=options)
        size = found.meta["size"] if length is None else min(length, found.meta["size"])
        limit.reschedule(asyncio.get_running_loop().time() + self._answer_seconds + size / SLOWEST_BYTES_PER_SECOND)
        return bytes(await found.bytes_async())

    async def _list(self, folder: str) -> list[Listed]:
        # Not by the library's stream, which goes on waiting for an answer after it was cancelled.
        found = await obstore.list_with_delimiter_async(self._store, folder or None)
        return _sorted(found["objects"])

    async def _list_below(self, folder: str) -> list[Listed]:
        return _sorted([each async for chunk in obstore.list(self._store, folder or None) for each in chunk])

    def _call(self, call: Callable[[asyncio.Timeout], Awaitable[T]], seconds: float, doing: str) -> T:
        async def bounded() -> T:
            async with asyncio.timeout(seconds) as limit:
                return await call(limit)

        began = time.monotonic()
        try:
            return asyncio.run(bounded())
        except FileNotFoundError as error:
            raise _AbsentError(f"cannot {doing}: {_sentence(error)}; is the bucket there?") from error
        except TimeoutError as error:
            raise UnreachableError(f"cannot {doing}: no answer within {time.monotonic() - began:.0f} s") from error
        except (exceptions.PermissionDeniedError, exceptions.UnauthenticatedError) as error:
            raise StoreError(f"cannot {doing}: {_sentence(error)}; let its credentials do that") from error
        except Exception as error:
            kind = StoreError if _REFUSED(str(error)) else UnreachableError
            raise kind(f"cannot {doing}: {_sentence(error)}") from error
        except BaseException as error:
            if type(error).__name__ == "PanicException":  # the library's own bug; no `Exception`, it would end a thread
                raise StoreError(f"cannot {doing}: {_sentence(error)}") from error
            raise


class _AbsentError(StoreError):
    """The bucket says that there is no such object, or that there is no such bucket."""


def _opened(scheme: str, bucket: str, prefix: str) -> S3Store | GCSStore | AzureStore:
    client: Any = {
        "connect_timeout": timedelta(seconds=_CONNECT_SECONDS),
        "timeout": timedelta(hours=1),  # of one attempt; `Bucket` bounds the call
        "allow_http": _says_http(),
    }
    retries: Any = {"max_retries": _MOST_RETRIES, "retry_timeout": timedelta(seconds=_RETRY_SECONDS)}
    below = prefix or None
    if scheme == "gs":
        return GCSStore(bucket, prefix=below, client_options=client, retry_config=retries)
    if scheme == "az":
        # The library reads the variable too; but where it is not said here, to show the store ends in a panic.
        account: Any = {"account_name": os.environ[_ACCOUNT]} if os.environ.get(_ACCOUNT) else {}
        return AzureStore(bucket, prefix=below, client_options=client, retry_config=retries, **account)
    # Deleting many at once is a request that some that speak S3 do not know, and one at a time is all that is needed.
    return S3Store(bucket, prefix=below, client_options=client, retry_config=retries, disable_bulk_delete=True)


def _says_http() -> bool:
    """Tell whether an endpoint is named that speaks without TLS: only who writes `http://` gets it."""
    return any(
        "ENDPOINT" in name and value.startswith("http://")
        for name, value in os.environ.items()
        if name.startswith(("AWS_", "AZURE_", "GOOGLE_"))
    )


def _sorted(found: Sequence[ObjectMeta]) -> list[Listed]:
    return sorted(Listed(each["path"], each["size"], each["last_modified"].timestamp()) for each in found)


def _sentence(error: BaseException) -> str:
    """Return what the library says in one line: with the server's words, without what changes or could be secret."""
    text = str(error)
    first, _, debug = text.partition("\n")
    said = re.search(r"<Code>(.*?)</Code>.*?<Message>(.*?)</Message>", text, re.DOTALL)
    cause = re.search(r'Os \{[^}]*message: "([^"]*)"', debug)
    first = re.sub(r"<.*", "", first)  # the server's document
    first = re.sub(r"(Error performing list request: )?Error performing \w+ \S+", "", first)  # may hold a signature
    first = re.sub(r" in [\d.]+(ns|µs|ms|s)\b|,? *after \d+ retries|, max_retries: \d+|, retry_timeout: \S+", "", first)
    first = re.sub(r"^Generic \w+ error: | to complete for path \S+(?=:)|^Object at location \S+ not found", "", first)
    first = re.sub(r"^[\s:,-]+|[\s:,-]+$", "", first).replace(":  - ", ": ")
    words = [first or type(error).__name__, *(said.groups() if said else ()), *([cause[1]] if cause else ())]
    return ": ".join(" ".join(each.split()).rstrip(".") for each in words)[:_LONGEST_SENTENCE]
