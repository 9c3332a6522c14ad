"""Checkpoints in a bucket: whole or absent whatever the line does, no call without an end, no secret shown."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

import pytest

from consumer.checkpoint import bucket_store
from consumer.checkpoint.bucket import SLOWEST_BYTES_PER_SECOND, Bucket
from consumer.checkpoint.bucket_store import BucketStore
from consumer.checkpoint.paths import path_of
from consumer.checkpoint.store import CheckpointName, StoreError, UnreachableError, UnreadableError
from tests.kafka import wait_until
from tests.objects import FaultProxy, Mode
from tests.objects.s3proxy import SECRET

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from consumer.checkpoint.envelope import Data
    from tests.objects import Endpoint

NAME: Final = CheckpointName("smart-inventory", "inventory.transactions", 3, 42, "ab" * 32)
DATA: Final = bytes(range(256)) * 12_000
"""3 MB: more than the buffers between here and the endpoint, so that a line can be cut in its midst."""

ANSWER_SECONDS: Final = 2.0


@pytest.fixture
def proxy(s3_endpoint: Endpoint, monkeypatch: pytest.MonkeyPatch) -> Iterator[FaultProxy]:
    """A line to the endpoint, which the variables of this process lead through."""
    with FaultProxy(s3_endpoint.port) as line:
        for name, value in s3_endpoint.environment(line.port).items():
            monkeypatch.setenv(name, value)
        yield line


@pytest.fixture
def bucket(s3_endpoint: Endpoint) -> str:
    """An empty bucket's name."""
    return s3_endpoint.new_bucket()


@pytest.fixture
def store(proxy: FaultProxy, bucket: str) -> BucketStore:
    """A store below a prefix of it."""
    del proxy
    return BucketStore(Bucket("s3", f"{bucket}/shop/checkpoints", ANSWER_SECONDS))


def names(store: BucketStore) -> list[CheckpointName]:
    """What the partition's list says."""
    return store.names(NAME.group, NAME.topic, NAME.partition)


def checkpoints(endpoint: Endpoint, bucket: str) -> list[Path]:
    """The objects that lie under a checkpoint's name on the endpoint's own disk."""
    return [path for path in endpoint.objects(bucket) if path.suffix == ".checkpoint"]


def test_the_path_is_the_directory_stores(store: BucketStore, s3_endpoint: Endpoint, bucket: str) -> None:
    """A directory can be copied into a bucket, and back; an operator finds what the documentation says."""
    store.write(NAME, DATA)
    (path,) = s3_endpoint.objects(bucket)
    assert str(path).endswith(f"/{bucket}/shop/checkpoints/{path_of(NAME)}")
    assert path.read_bytes() == DATA
    assert [each.label for each in store.kept()] == [f"s3://{bucket}/shop/checkpoints/{path_of(NAME)}"]
    assert store.where() == f"bucket s3://{bucket}/shop/checkpoints"


def test_one_request_writes(store: BucketStore, proxy: FaultProxy) -> None:
    """However large: parts that a killed worker has left would be paid for and never seen. Then the size is asked."""
    store.write(NAME, DATA * 4)
    assert proxy.requests == ["PUT", "HEAD"]


def test_foreign_objects_stay_out(store: BucketStore) -> None:
    """What nobody of ours has written is neither listed nor taken for a checkpoint."""
    store.write(NAME, DATA)
    folder, _, file = path_of(NAME).rpartition("/")
    for foreign in (f"{folder}/notes.txt", f"{folder}/x{file}", f"{folder}/{file}.bak", file, f"{folder}/old/{file}"):
        store._bucket.put(foreign, b"")
    assert names(store) == [NAME]
    assert [each.name for each in store.kept()] == [NAME]


@pytest.mark.usefixtures("proxy")
def test_a_list_of_many_pages_is_whole(bucket: str) -> None:
    """A bucket lists a thousand at a time: an unread page would hide the newest checkpoints from a restore."""
    store = BucketStore(Bucket("s3", f"{bucket}/shop/checkpoints"))
    expected = [replace(NAME, offset=offset) for offset in range(1_005)]
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda name: store._bucket.put(path_of(name), b""), expected))
    assert names(store) == expected
    assert [each.name for each in store.kept(NAME.group)] == expected


# Uploads


def test_a_torn_upload_is_never_visible(
    store: BucketStore, proxy: FaultProxy, s3_endpoint: Endpoint, bucket: str
) -> None:
    """Cut in its midst, time and again: no list, no read and no disk shows anything under its name."""
    proxy.mode = Mode.CUT_UPLOAD
    with pytest.raises(UnreachableError, match="cannot write s3://"):
        store.write(NAME, DATA)
    assert proxy.requests.count("PUT") > 1
    proxy.mode = Mode.GOOD
    assert names(store) == []
    assert store.read(NAME) is None
    assert checkpoints(s3_endpoint, bucket) == []
    store.write(NAME, DATA)
    assert store.read(NAME) == DATA


def test_a_torn_upload_leaves_what_was_there(store: BucketStore, proxy: FaultProxy) -> None:
    """As when a checkpoint is signed anew: until the new content is whole, the former one is read."""
    store.write(NAME, DATA)
    proxy.mode = Mode.CUT_UPLOAD
    with pytest.raises(UnreachableError):
        store.write(NAME, DATA + b"signature")
    proxy.mode = Mode.GOOD
    assert store.read(NAME) == DATA


def test_one_cut_is_made_good(store: BucketStore, proxy: FaultProxy) -> None:
    """The library tries again: the checkpoint need not wait for its next turn."""
    proxy.mode, proxy.times = Mode.CUT_UPLOAD, 1
    store.write(NAME, DATA)
    assert store.read(NAME) == DATA


def test_an_upload_whose_answer_is_lost(store: BucketStore, proxy: FaultProxy) -> None:
    """It failed as far as anybody knows; the object is whole all the same, and to put it again is right."""
    proxy.mode = Mode.LOST_ANSWER
    with pytest.raises(UnreachableError):
        store.write(NAME, DATA)
    proxy.mode = Mode.GOOD
    assert store.read(NAME) == DATA
    store.write(NAME, DATA)
    assert names(store) == [NAME]


def test_an_upload_that_arrived_short(store: BucketStore, monkeypatch: pytest.MonkeyPatch) -> None:
    """A store, or a proxy before it, that says done to half of it is found out before any offset refers to it."""
    put = Bucket.put

    def put_half(bucket: Bucket, path: str, data: Data) -> None:
        put(bucket, path, data[: len(data) // 2])

    monkeypatch.setattr(Bucket, "put", put_half)
    with pytest.raises(StoreError, match=f"holds {len(DATA) // 2} of the {len(DATA)} bytes"):
        store.write(NAME, DATA)


def test_the_throttle_sees_what_is_sent(bucket: str, proxy: FaultProxy) -> None:
    """Before it is sent, so that it can hold it back."""
    seen: list[tuple[int, int]] = []
    store = BucketStore(Bucket("s3", bucket), lambda size: seen.append((size, len(proxy.requests))))
    store.write(NAME, DATA)
    assert seen == [(len(DATA), 0)]


# Answers that do not come


def test_busy(store: BucketStore, proxy: FaultProxy) -> None:
    """A store that has no time is asked again a few times, then said to be unreachable, in its own words."""
    proxy.mode = Mode.BUSY
    for call in (lambda: store.write(NAME, DATA), lambda: store.read(NAME), lambda: names(store)):
        proxy.requests.clear()
        with pytest.raises(UnreachableError, match="503 Service Unavailable: SlowDown: Reduce your rate"):
            call()
        assert len(proxy.requests) > 1
    with pytest.raises(UnreachableError):
        store.check(NAME.group, NAME.topic)
    proxy.times = 2
    store.write(NAME, DATA)
    assert store.read(NAME) == DATA


def test_a_call_that_hangs_ends(store: BucketStore, proxy: FaultProxy) -> None:
    """Within the stated time, and its connection with it: nothing goes on behind the worker's back."""
    store.write(NAME, DATA)
    proxy.mode = Mode.SILENT
    calls: tuple[tuple[Callable[[], Any], float], ...] = (
        (lambda: store.read(NAME), ANSWER_SECONDS),
        (lambda: names(store), ANSWER_SECONDS),
        (lambda: store.delete(NAME), ANSWER_SECONDS),
        (lambda: store.write(NAME, DATA), ANSWER_SECONDS + len(DATA) / SLOWEST_BYTES_PER_SECOND),
    )
    for call, seconds in calls:
        began = time.monotonic()
        with pytest.raises(UnreachableError, match=rf"no answer within {seconds:.0f} s"):
            call()
        assert seconds - 0.1 <= time.monotonic() - began < seconds + 3
    wait_until(lambda: proxy.open_connections == 0, 10, "the connections to be closed")


def test_a_slow_store_is_waited_for(store: BucketStore, proxy: FaultProxy) -> None:
    """Slow is not unreachable."""
    proxy.mode, proxy.delay = Mode.SLOW, ANSWER_SECONDS / 2
    store.write(NAME, DATA)
    assert store.read(NAME) == DATA


def test_a_large_checkpoint_may_take_its_time(store: BucketStore, proxy: FaultProxy) -> None:
    """Its bytes are counted; below what a line must carry, the call ends."""
    store.write(NAME, DATA)
    allowed = ANSWER_SECONDS + len(DATA) / SLOWEST_BYTES_PER_SECOND
    proxy.mode, proxy.delay = Mode.TRICKLE, ANSWER_SECONDS + 1
    assert store.read(NAME) == DATA
    proxy.delay = 60
    with pytest.raises(UnreachableError, match=rf"no answer within {allowed:.0f} s"):
        store.read(NAME)


def test_a_torn_download(store: BucketStore, proxy: FaultProxy) -> None:
    """One cut is made good, every cut is an error: half a checkpoint is never returned, and is no missing one."""
    store.write(NAME, DATA)
    proxy.mode, proxy.times = Mode.CUT_DOWNLOAD, 1
    assert store.read(NAME) == DATA
    proxy.times = None
    with pytest.raises(UnreachableError):
        store.read(NAME)


def test_nobody_there(bucket: str, proxy: FaultProxy, monkeypatch: pytest.MonkeyPatch) -> None:
    """A refused connection is no answer, and the sentence has the system's words."""
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1")
    with pytest.raises(UnreachableError, match="Connection refused"):
        BucketStore(Bucket("s3", bucket)).read(NAME)
    assert proxy.requests == []


# Answers that are no checkpoint


def calls_of(store: BucketStore) -> tuple[Callable[[], Any], ...]:
    """Return what a worker asks of a store."""
    return (
        lambda: store.read(NAME),
        lambda: names(store),
        lambda: store.write(NAME, DATA),
        lambda: store.check(NAME.group, NAME.topic),
    )


def test_a_missing_bucket_is_not_a_missing_checkpoint(proxy: FaultProxy) -> None:
    """The same 404 is answered for both; to take one for the other would rebuild every partition."""
    del proxy
    store = BucketStore(Bucket("s3", "no-such-bucket/prefix"))
    for call in calls_of(store):
        with pytest.raises(StoreError, match="The specified bucket does not exist") as raised:
            call()
        assert not isinstance(raised.value, UnreachableError | UnreadableError)


def test_wrong_credentials(bucket: str, proxy: FaultProxy, monkeypatch: pytest.MonkeyPatch) -> None:
    """They are refused at once, are no missing checkpoint, and stand in no sentence."""
    del proxy
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "another secret")
    store = BucketStore(Bucket("s3", bucket))
    for call in calls_of(store):
        with pytest.raises(StoreError, match="403 Forbidden: SignatureDoesNotMatch") as raised:
            call()
        assert not isinstance(raised.value, UnreachableError | UnreadableError)
        assert "secret" not in str(raised.value)


@pytest.mark.parametrize("mode", [Mode.BUSY, Mode.BUSY_WRITES, Mode.CUT_UPLOAD, Mode.CUT_DOWNLOAD, Mode.LOST_ANSWER])
def test_no_sentence_shows_a_secret(store: BucketStore, proxy: FaultProxy, mode: Mode) -> None:
    """Each is one line of bounded length, without the secret."""
    store.write(NAME, DATA)
    proxy.mode = mode
    sentences = []
    calls: tuple[Callable[[], Any], ...] = (
        lambda: store.write(replace(NAME, offset=43), DATA),
        lambda: store.read(NAME),
    )
    for call in calls:
        try:
            call()
        except StoreError as error:
            sentences.append(str(error))
    assert sentences
    for sentence in sentences:
        assert SECRET not in sentence
        assert sentence.isprintable()
        assert len(sentence) < 600


# The check at the start


def test_a_check_tries_all_that_is_needed(store: BucketStore, proxy: FaultProxy) -> None:
    """It writes, lists, reads and deletes, and leaves nothing behind."""
    store.check(NAME.group, NAME.topic)
    assert [each for each in proxy.requests if each != "HEAD"] == ["PUT", "GET", "GET", "DELETE"]
    assert store._bucket.listed_below("") == []


def test_a_store_that_is_far_too_slow_is_refused(
    store: BucketStore, proxy: FaultProxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No call fails, and yet it would be of no use."""
    monkeypatch.setattr(bucket_store, "_TRIAL_SECONDS", 1.0)
    proxy.mode, proxy.delay = Mode.SLOW, ANSWER_SECONDS / 4
    with pytest.raises(UnreachableError, match=r"to write, list and read 1024 bytes took . s; make it reachable"):
        store.check(NAME.group, NAME.topic)


def test_a_store_that_shows_things_late_is_refused(store: BucketStore, monkeypatch: pytest.MonkeyPatch) -> None:
    """A cache in between could show a restore what was there before."""
    monkeypatch.setattr(Bucket, "listed", lambda *_: [])
    with pytest.raises(StoreError, match="is not shown"):
        store.check(NAME.group, NAME.topic)
