"""`smart-inventory run`: one worker process, put together and kept until it is told to stop."""

from __future__ import annotations

import gc
import os
import signal
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from typing import TYPE_CHECKING, Final

from consumer import __version__, hash_seed, logs
from consumer.checkpoint.store import StoreError, UnreachableError
from consumer.errors import BrokerError, CheckpointsError, ExitCode, RebuildError, RetryError, SettingsError
from consumer.health import STALE_SECONDS, Health, serve
from consumer.kafka.broker import ClientIdentity, KafkaBroker, is_owned, unknown_properties
from consumer.kafka.topics import TopicNames
from consumer.last_resort import LastResort
from consumer.metrics import Metrics
from consumer.permissions import NONE_GIVEN, Permissions
from consumer.replay_progress import ReplayLines
from consumer.settings import Guarantee, Settings, check_for_run, kafka_properties
from consumer.stores import open_store
from consumer.watchdog import Watchdog, check_limit, livez_seconds

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from types import FrameType

    from structlog.typing import FilteringBoundLogger

    from consumer.broker import Connection, InputTopic, RebalanceListener
    from consumer.checkpoint.store import CheckpointStore
    from consumer.replay_progress import ReplayDisplay
    from consumer.skips import SkipRange
    from consumer.worker import Worker

_START_SECONDS: Final = 30.0
_RETRY_SECONDS: Final = 0.5
_YOUNG_OBJECTS: Final = 20_000


def run_worker(  # noqa: PLR0913 -- what one start is told
    settings: Settings,
    environment: Mapping[str, str],
    log: FilteringBoundLogger,
    *,
    stop_at_end: bool = False,
    skips: Sequence[SkipRange] = (),
    permissions: Permissions = NONE_GIVEN,
) -> None:
    """Run one worker in this process until a signal or the end.

    Raises:
        StopError: only the operator can help.
    """
    check_for_run(settings)
    broker = kafka_broker(settings, environment, log)
    check_limit(settings.watchdog_seconds, broker.longest_call_seconds)
    process = _Process(settings, log)
    process.take_signals()
    metrics = Metrics()
    health = Health(time.monotonic, livez_seconds(settings.watchdog_seconds, STALE_SECONDS))
    watchdog = Watchdog(
        settings.watchdog_seconds,
        stillness=health.stillness,
        ending=LastResort(log, settings.watchdog_seconds),
        tell=lambda seconds: metrics.gauge("loop_still_seconds", seconds),
    )
    with ExitStack() as at_the_end:
        watchdog.start()
        at_the_end.callback(watchdog.stop)
        at_the_end.callback(process.disarm)
        store = open_store(settings, lambda: broker.client_config)
        is_in_kafka = settings.checkpoint_topic() is not None  # then the broker is asked about it with the other topics
        if not is_in_kafka and not _check(store, settings, log, health, lambda: process.is_asked):
            log.info("stopped", reason="asked to stop before the checkpoint store answered")
            return
        port, stop_serving = serve(settings.metrics_port, metrics.registry, health)
        at_the_end.callback(stop_serving)
        log.info("serving", port=port, paths=["/metrics", "/livez", "/readyz"])
        health.beat("import")
        # Importing River takes a second or two: meanwhile the clients join the group and settle transactions.
        with ThreadPoolExecutor(1, thread_name_prefix="connect") as pool:
            listener = _Relay()
            connecting = pool.submit(_connect, broker, listener, log, lambda: process.is_asked, health)
            from consumer.assembly import build_worker  # noqa: PLC0415
            from consumer.model_trial import try_before_first_event  # noqa: PLC0415
            from consumer.surroundings import REAL  # noqa: PLC0415

            found = connecting.result()
        if found is None:
            log.info("stopped", reason="asked to stop before a broker answered")
            return
        topic, connection = found
        try:
            try_before_first_event(
                settings.model, connection, topic.partitions, log, lambda: health.beat("model_trial")
            )
            health.beat("start")
            replays = _replay_display(settings, log, at_the_end)
            worker = build_worker(
                settings,
                broker=broker,
                store=store,
                topic=topic,
                health=health,
                metrics=metrics,
                log=log,
                hash_seed=_hash_seed(),
                stop_at_end=stop_at_end,
                skips=skips,
                permissions=permissions,
                surroundings=REAL._replace(replays=replays),
            )
        except BaseException:
            connection.leave()
            raise

        listener.target = worker
        process.worker = worker
        # What exists now stays: the collector need not walk it again and again, not even once, which takes 0.1 s.
        gc.freeze()
        # Nor the messages of a poll, thrice before they are gone, as after the usual 700 objects.
        gc.set_threshold(_YOUNG_OBJECTS)
        gc.enable()
        log.info("started", version=__version__, pid=os.getpid(), guarantee=settings.processing_guarantee.value)
        try:
            worker.run(connection)
        except BaseException:
            worker.leave()
            raise


def _replay_display(settings: Settings, log: FilteringBoundLogger, at_the_end: ExitStack) -> ReplayDisplay:
    """Return a bar where a person watches this one worker, taken away at the end; else lines of the log."""
    if logs.is_text(settings.log_format) and not os.environ.get(logs.SUPERVISED):
        from consumer.replay_bar import bar_on_terminal  # noqa: PLC0415 -- only where one may be drawn

        bar = bar_on_terminal()
        if bar is not None:
            logs.put_below(bar)
            at_the_end.callback(bar.end)
            return bar
    return ReplayLines(log)


def _check(
    store: CheckpointStore,
    settings: Settings,
    log: FilteringBoundLogger,
    health: Health,
    is_asked: Callable[[], bool],
) -> bool:
    """Refuse to start where no checkpoint could be written: later it would only be found after much work.

    Returns False where the process was asked to stop meanwhile.
    """
    deadline, said = time.monotonic() + _START_SECONDS, ""
    try:
        while not is_asked():
            health.beat("store_check")
            try:
                store.check(settings.consumer_group, settings.input_topic)
            except UnreachableError as error:  # it may start as we do
                if time.monotonic() > deadline:
                    raise
                if str(error) != said:
                    log.warning("start_waits", reason=str(error))
                    said = str(error)
                time.sleep(_RETRY_SECONDS)
            else:
                return True
    except StoreError as error:
        raise CheckpointsError(
            f"CHECKPOINT_URL={settings.checkpoint_url}: checkpoints cannot be written to {error}, or name another place"
        ) from error
    return False


def kafka_broker(settings: Settings, environment: Mapping[str, str], log: FilteringBoundLogger) -> KafkaBroker:
    """Return the Kafka of the settings, the pass-through properties judged.

    Raises:
        SettingsError: a property is owned by the worker, or has a value that librdkafka refuses.
    """
    return KafkaBroker(
        client_properties(settings, environment, log),
        topic_names(settings),
        ClientIdentity(settings.consumer_group, settings.instance_id),
        is_transactional=settings.processing_guarantee is Guarantee.EXACTLY_ONCE,
        log=log,
    )


def client_properties(settings: Settings, environment: Mapping[str, str], log: FilteringBoundLogger) -> dict[str, str]:
    """Return librdkafka's properties common to all clients, from the `KAFKA_*` variables.

    Raises:
        SettingsError: one is owned by the worker, or has a value that librdkafka refuses.
    """
    properties = kafka_properties(environment)
    refuse_owned(properties)
    unknown = unknown_properties(properties)
    if unknown:
        # Kubernetes injects KAFKA_PORT, images set KAFKA_HEAP_OPTS: no reason to refuse to start.
        log.warning("kafka_variables_ignored", names=["KAFKA_" + name.replace(".", "_").upper() for name in unknown])
    known = {name: value for name, value in properties.items() if name not in unknown}
    return {**known, "bootstrap.servers": settings.kafka_bootstrap_servers or ""}


def refuse_owned(properties: Mapping[str, str]) -> None:
    """Refuse properties that the worker owns.

    Raises:
        SettingsError: there is one.
    """
    owned = sorted(name for name in properties if is_owned(name))
    if owned:
        variables = ", ".join("KAFKA_" + name.replace(".", "_").upper() for name in owned)
        raise SettingsError(f"{variables}: the worker owns this property, a guarantee depends on it; unset it")


def topic_names(settings: Settings) -> TopicNames:
    """Return the worker's topics."""
    return TopicNames(
        settings.input_topic,
        settings.output_topic,
        settings.dead_letter_topic,
        settings.checkpoint_topic(),
        settings.outlook_topic,
    )


def _connect(
    broker: KafkaBroker,
    listener: RebalanceListener,
    log: FilteringBoundLogger,
    is_asked: Callable[[], bool],
    health: Health,
) -> tuple[InputTopic, Connection] | None:
    """Check the topics, join the group and settle; keep trying for a while, since a broker may start as we do.

    Returns None where the process was asked to stop meanwhile.
    """

    def is_given_up() -> bool:  # asked between any two tries
        health.beat("connect")
        return is_asked()

    deadline = time.monotonic() + _START_SECONDS
    broker.await_answer(_START_SECONDS, is_given_up)
    while not is_given_up():
        connection: Connection | None = None
        try:
            topic = broker.check_topics()
            health.beat("connect")
            connection = broker.connect(listener)
            connection.settle()
        except (RetryError, RebuildError) as error:
            if connection is not None:
                connection.discard()
            if time.monotonic() > deadline:
                raise BrokerError(
                    f"no start within {_START_SECONDS:.0f} s, though a broker answers: {error}; look at that broker's "
                    "own log and at its advertised addresses, then start again"
                ) from error
            log.warning("start_waits", reason=str(error))
            time.sleep(_RETRY_SECONDS)
        else:
            return topic, connection
    return None


class _Relay:
    """Passes rebalances on to a worker that is built later; nothing comes before the worker polls."""

    def __init__(self) -> None:
        self.target: Worker | None = None

    def on_gained(self, partitions: Sequence[int]) -> None:
        if self.target is not None:
            self.target.on_gained(partitions)

    def on_revoked(self, partitions: Sequence[int]) -> None:
        if self.target is not None:
            self.target.on_revoked(partitions)

    def on_lost(self, partitions: Sequence[int]) -> None:
        if self.target is not None:
            self.target.on_lost(partitions)


class _Process:
    """This process's signals: the first asks it to finish within `SHUTDOWN_SECONDS`, the second ends it at once."""

    def __init__(self, settings: Settings, log: FilteringBoundLogger) -> None:
        self._seconds = settings.shutdown_seconds
        self._log = log
        self._is_asked = False
        self._timer: threading.Timer | None = None
        self._worker: Worker | None = None

    @property
    def is_asked(self) -> bool:
        """Whether a signal has asked this process to stop."""
        return self._is_asked

    @property
    def worker(self) -> Worker | None:
        """The worker that a signal stops."""
        return self._worker

    @worker.setter
    def worker(self, worker: Worker) -> None:
        self._worker = worker
        if self._is_asked:
            worker.stop()

    def take_signals(self) -> None:
        """Install the handlers; they only set a flag, since a raising one loses the batch being fetched."""
        signal.signal(signal.SIGTERM, self._on_signal)
        signal.signal(signal.SIGINT, self._on_signal)

    def disarm(self) -> None:
        """Call off the time limit."""
        if self._timer is not None:
            self._timer.cancel()

    def _on_signal(self, number: int, _frame: FrameType | None) -> None:
        if self._is_asked:
            os._exit(128 + number)
        self._is_asked = True
        self._timer = threading.Timer(self._seconds, self._give_up)
        self._timer.daemon = True
        self._timer.start()
        if self._worker is not None:
            self._worker.stop()

    def _give_up(self) -> None:
        self._log.error("shutdown_timeout", seconds=self._seconds, reason="the stop took longer than SHUTDOWN_SECONDS")
        os._exit(ExitCode.SHUTDOWN_TIMEOUT)


def _hash_seed() -> str:
    """Return the seed that this process runs under."""
    return os.environ.get(hash_seed.VARIABLE, "random")
