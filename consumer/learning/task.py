"""The partition task: one partition's state and its one verb, `process(record)`.

Pure: the same state and record give the same output and state. No clock, no randomness, no Kafka.
"""

from __future__ import annotations

from collections import Counter
from math import nan
from struct import Struct
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from consumer.learning import columns as field
from consumer.learning.acceleration import machine
from consumer.learning.batch import encode_run, prediction_of, take_run
from consumer.learning.chain import OutcomeChain
from consumer.learning.column_batch import ColumnBatch, links_of
from consumer.learning.columns import NO_NUMBER
from consumer.learning.encoded import RowEncoder
from consumer.learning.identities import Identities, check_whole
from consumer.learning.invalid_window import InvalidWindow
from consumer.learning.ledger import Ledger
from consumer.learning.ledger_arrays import LedgerArrays
from consumer.learning.ledger_columns import LedgerColumns
from consumer.learning.model_sections import PICKLES, joined
from consumer.learning.models import Models
from consumer.learning.outlook_output import outlooks_of
from consumer.learning.outlook_sections import OUTLOOK
from consumer.learning.output import Outcome, Output, Published
from consumer.learning.shelf_feed import COUNT, ShelfFeed, demand_of_columns, discrepancies_of
from consumer.learning.size import OWN_BYTES, check_prediction, is_letter_too_large
from consumer.learning.state import SECTIONS, encode_state
from consumer.learning.window_arrays import WindowArrays
from consumer.outlook.calendar import Calendar
from consumer.outlook.shelves import Rows
from schemas.dead_letter import InvalidEvent, Reason, dead_letter_headers, size_headers
from schemas.prediction import encode_prediction
from schemas.routing import home_partition, misrouting
from schemas.tick import decode_tick
from schemas.transaction import KNOWN_TYPES, PLAIN_BYTES, decode, decode_plain

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from typing_extensions import Buffer

    from consumer.learning.acceleration import Machine
    from consumer.learning.batch import Run
    from consumer.learning.column_batch import ColumnRun
    from consumer.learning.fingerprint import LearningSettings
    from consumer.learning.ledger import LedgerCopy
    from consumer.learning.model import ModelKind, StockModel
    from consumer.learning.model_sections import Section
    from consumer.learning.models import ModelsSnapshot
    from consumer.record import Record, RecordBatch
    from schemas.transaction import Event

_USUAL_TYPES: Final = KNOWN_TYPES | {None}

_LINK_BYTES: Final = Struct("<qBd").size
_link_prediction: Final = Struct("<qBd").pack
_link_other: Final = Struct("<qB").pack


_ALL_MODELS: Final = 2**40
_ITEMS_A_MODEL: Final = 64
"""So many items of a ledger are put into columns in the time in which a model is pickled."""
_PREDICTION: Final = Outcome.PREDICTION  # a global is found faster than an enum's member


class Tally:
    """What happened since the worker last looked; no part of the state."""

    __slots__ = (
        "dead_letters",
        "late",
        "learned",
        "misrouted",
        "predictions",
        "repeats",
        "retired",
        "skipped",
        "ticks",
        "unknown_levels",
        "unknown_types",
    )

    def __init__(self) -> None:
        self.predictions = 0
        self.repeats = 0
        self.late = 0
        self.learned = 0
        self.skipped = 0
        self.ticks = 0
        self.retired = 0
        self.unknown_levels = 0
        self.unknown_types = 0
        self.misrouted: Counter[str] = Counter()
        self.dead_letters: Counter[str] = Counter()

    def add_run(self, run: Run, learned: int) -> None:
        """Count the predictions of a run, of whose events the model has learned from so many."""
        self.predictions += len(run.events)
        self.learned += learned
        self.late += sum(run.lates)
        self.unknown_levels += run.befores.count(None)
        kinds = [event.transaction_type for event in run.events]
        if not _USUAL_TYPES.issuperset(kinds):
            self.unknown_types += sum(kind not in _USUAL_TYPES for kind in kinds)

    def add_columns(self, run: ColumnRun, learned: int) -> None:
        """Count the predictions of a run whose types are known ones."""
        self.predictions += len(run.befores)
        self.learned += learned
        self.late += int(np.count_nonzero(run.lates))
        self.unknown_levels += int(np.count_nonzero(run.befores == NO_NUMBER))


class TaskSnapshot:
    """A task's state as it was at a record boundary; the task goes on while it is put into bytes.

    Attributes:
        offset: the task's next offset there.
    """

    __slots__ = ("_ledger", "_models", "_sections", "offset")

    def __init__(
        self, offset: int, sections: dict[str, Section], ledger: LedgerCopy | LedgerColumns, models: ModelsSnapshot
    ) -> None:
        self.offset = offset
        self._sections = sections
        self._ledger = ledger
        self._models = models

    def advance(self, models: int) -> bool:
        """Take so many models more, or what takes as long of the ledger; tell whether it is complete.

        Raises:
            AssertionError: the task has begun another one since.
        """
        if isinstance(self._ledger, LedgerColumns):
            return self._models.advance(models)
        if self._ledger.advance(_ITEMS_A_MODEL * models):
            self._ledger = self._ledger.columns()
        return False

    def sections(self) -> dict[str, Section]:
        """Return the sections of a complete one (`consumer.learning.state`); nothing changes them any more.

        Raises:
            AssertionError: it is not complete.
        """
        if not isinstance(self._ledger, LedgerColumns):
            raise AssertionError("a snapshot has sections once it is complete")  # noqa: TRY004 -- a bug
        return {**self._sections, **self._ledger.sections(), **self._models.sections()}


class PartitionTask:
    """The models, ledger and identities of one input partition, and how far it has read.

    Attributes:
        next_offset: the offset that it expects next; every record below it has been applied.
        first_offset: the first offset that it ever learned from.
        records_applied: how many records it has applied, whatever became of them.
        chain: digest over each applied record's offset, outcome and prediction.
        tally: what happened since the worker last took it.
        partitions: how many the input has now; only counts of misrouted items depend on it.
    """

    def __init__(  # noqa: PLR0913 -- a task is what these say it is
        self,
        *,
        topic: str,
        partition: int,
        first_offset: int,
        settings: LearningSettings,
        model_id: str,
        model_kind: ModelKind,
        partitions: int,
        find_machine: Callable[[], Machine | None] = machine,
    ) -> None:
        self.topic = topic
        self.partition = partition
        self.first_offset = first_offset
        self.next_offset = first_offset
        self.records_applied = 0
        self.chain = OutcomeChain()
        self.tally = Tally()
        self.partitions = partitions
        self._limits = settings.limits
        self._max_output_bytes = settings.max_output_bytes
        self._surely_fits = settings.max_output_bytes - OWN_BYTES
        self._model_id = model_id
        self._models = Models(settings.scope, model_kind)
        self._ledger: Ledger | LedgerArrays = Ledger()
        self._item_retire_days = settings.item_retire_days
        self._seen_ids = settings.seen_ids
        self._identities: Identities | WindowArrays = Identities(settings.seen_ids)
        self._invalid = InvalidWindow(settings.invalid_window_records)
        self._feed = (
            None if settings.outlook is None else ShelfFeed(Calendar(settings.outlook.zone), settings.outlook.policies)
        )
        self._find_machine = find_machine
        self._machine: Machine | None = None  # once models, ledger and window have taken to it
        self._encoder: RowEncoder

    @property
    def model_count(self) -> int:
        """How many model instances it holds."""
        return len(self._models)

    def invalid_ratio(self) -> float:
        """Return the share of invalid ones among the last records, as of an invalid record just applied."""
        return self._invalid.ratio(self.records_applied)

    def process(self, record: Record) -> Output | None:
        """Apply the next record and return what to publish for it; a repeat publishes nothing.

        Until the model has taken the event nothing changes: a record that is refused leaves no trace in the state but
        its place in the log.
        """
        offset = record.offset
        try:
            event = decode(record.value, record.timestamp_ms, self._limits)
            if len(record.value or b"") + len(record.key or b"") > self._surely_fits:
                check_prediction(record, event, self._max_output_bytes)
            item = f"{event.store_id}\x1f{event.sku}"  # ids hold no control characters
            entry = self._identities.look(event, item)
            if entry is None:
                self._advance(offset, _link_other(offset, Outcome.REPEAT))
                self.tally.repeats += 1
                return None
            observed = event.level_millionths
            posting = self._ledger.look(item, event.quantity_millionths, observed, event.occurred_us)
            model = self._models.about_to_step(event.store_id, item)
            new_model = None
            if model is None:
                model = new_model = self._models.new()
            events_learned = model.events_learned
            predicted = model.step(event, posting)
        except InvalidEvent as invalid:
            us = decode_tick(record.value)
            if us is not None:
                self._tick(record, us)
                return None
            return self._dead_letter(record, invalid)
        before, is_late = posting.before, posting.is_late
        if before is None and item not in self._ledger:
            self._check_route(record.key, record.partition, event.store_id, event.sku)
        if new_model is not None:
            self._models.keep(event.store_id, item, new_model)
        self._identities.remember(entry)
        self._ledger.enter(item, posting)
        if self._feed is not None:
            self._feed.add(self._feed.number_of(item), event, offset, record.timestamp_ms, posting)
        self._retire(event.occurred_us)

        prediction = prediction_of(
            event, before, is_late, predicted, self._model_id, events_learned, record.partition, offset
        )
        self._advance(offset, _link_prediction(offset, _PREDICTION, nan if predicted is None else predicted))
        tally = self.tally
        tally.predictions += 1
        tally.learned += model.events_learned - events_learned
        tally.late += is_late
        if before is None:
            tally.unknown_levels += 1
        tally.unknown_types += event.transaction_type not in _USUAL_TYPES
        return Output(_PREDICTION, record.key, encode_prediction(prediction), None)

    def take_outlooks(self) -> tuple[list[bytes | None], list[bytes | None]]:
        """Return keys and values of the outlooks since the last call, and forget them."""
        said = [] if self._feed is None else self._feed.take_said()
        return outlooks_of(said, self._model_id, self.partition)

    @property
    def is_closing(self) -> bool:
        """Whether a day's close is under way: of some items it is done, of others not yet."""
        return self._feed is not None and self._feed.shelves.is_closing

    def forget_outlooks(self) -> None:
        """Forget the outlooks since the last call, which were published before."""
        if self._feed is not None:
            self._feed.take_said()

    def _tick(self, record: Record, us: int) -> None:
        self._advance(record.offset, _link_other(record.offset, Outcome.TICK))
        self.tally.ticks += 1
        if self._feed is not None:
            self._feed.tick(us, record.timestamp_ms, record.offset)

    @property
    def takes_batches(self) -> bool:
        """Tell whether `process_batch` has a faster way than `process` for each record."""
        return self._models.take_batches

    def process_batch(self, batch: RecordBatch, judge: Callable[[Record], None]) -> Published:
        """Apply the next records as `process` would, one after the other, and return what to publish for them.

        Args:
            batch: the records; the first one's offset is not below `next_offset`.
            judge: is told of each dead letter's record once it is applied; what it raises comes out.
        """
        published = Published([], [], [])
        self._apply_batch(batch, judge, published)
        return published

    def replay_batch(self, batch: RecordBatch) -> None:
        """Apply the next records like `process_batch`, of which everything was published before."""
        self._apply_batch(batch, lambda _record: None, None)

    def _apply_batch(self, batch: RecordBatch, judge: Callable[[Record], None], published: Published | None) -> None:
        at, end = 0, len(batch)
        while at < end and self._models.only() is None:  # the first event that can be learned from makes the model
            self._apply_one(batch.record(at), judge, published)
            at += 1
        take = self._ways_through(batch, published)
        while at < end:
            ran_to = take(at)
            if ran_to > at:
                at = ran_to
                continue
            self._apply_one(batch.record(at), judge, published)
            at += 1

    def _apply_one(self, record: Record, judge: Callable[[Record], None], published: Published | None) -> None:
        output = self.process(record)
        if output is not None and output.outcome is not _PREDICTION:
            judge(record)
        if output is not None and published is not None:
            published.add(output)

    def _ways_through(self, batch: RecordBatch, published: Published | None) -> Callable[[int], int]:
        """Return what applies the run of plain, new events that begins at an index, and says where it ends.

        Left to `process` is what might not fit into the output; a plain event itself is small.
        """
        most_key_bytes = self._surely_fits - PLAIN_BYTES
        large = [index for index, key in enumerate(batch.keys) if key is not None and len(key) > most_key_bytes]
        machine = self._take_to_machine()
        if machine is not None:
            columns = ColumnBatch(machine, batch, self._limits, large)
            return lambda start: self._process_columns(batch, columns, start, published)
        events = decode_plain(batch.values, batch.timestamps_ms, self._limits)
        for index in large:
            events[index] = None
        return lambda start: self._process_run(batch, events, start, published)

    def _take_to_machine(self) -> Machine | None:
        """Take to machine code once there is any and the model can; return it."""
        if self._machine is None and (found := self._find_machine()) is not None:
            model = self._models.only()
            if model is not None and model.takes_batches and isinstance(self._ledger, Ledger):
                self._use_machine(found, model, self._ledger.columns(), self._identities.snapshot())
        return self._machine

    def _use_machine(self, machine: Machine, model: StockModel, ledger: LedgerColumns, identities: Buffer) -> None:
        model.accelerate(machine.steps)
        self._ledger = LedgerArrays(machine.taking, ledger)
        self._identities = WindowArrays(machine.taking, self._seen_ids, identities)
        self._encoder = RowEncoder(machine.encoding, self._model_id, self.partition)
        self._machine = machine

    def _process_columns(
        self, batch: RecordBatch, columns: ColumnBatch, start: int, published: Published | None
    ) -> int:
        """Apply a run as `_process_run` does, by machine code."""
        model, ledger, window = self._models.only(), self._ledger, self._identities
        if model is None or not isinstance(ledger, LedgerArrays) or not isinstance(window, WindowArrays):
            raise AssertionError("a task that has taken to machine code has a model and arrays")
        stop = columns.take_run(start, window, ledger)
        if stop == start:
            return start
        run = columns.run(start, stop, ledger)
        learned_before = model.events_learned
        predictions, learned = model.column_steps(run)
        self.next_offset = batch.offsets[stop - 1] + 1
        self.records_applied += stop - start
        offsets = columns.offsets[start:stop]
        self.chain.extend(links_of(offsets, _PREDICTION, predictions), _LINK_BYTES)
        for first, store in columns.firsts(start, stop, ledger):
            key = batch.keys[first]
            if key == ledger.store_keys[store] and home_partition(key, self.partitions) == batch.partition:
                continue  # as nearly all are, and `misrouting` would say at more length
            self._check_route(key, batch.partition, ledger.store_names[store], columns.sku_of(first))
        if self._feed is not None:
            self._feed_columns(self._feed, batch, columns, start, run, ledger)
        self._retire(run.last_us)
        self.tally.add_columns(run, model.events_learned - learned_before)
        if published is not None:
            published.keys.extend(batch.keys[start:stop])
            published.values.extend(columns.encoded(self._encoder, start, run, predictions, learned))
        return stop

    def _feed_columns(  # noqa: PLR0913, PLR0917 -- a run, and where it lies in its batch
        self,
        feed: ShelfFeed,
        batch: RecordBatch,
        columns: ColumnBatch,
        start: int,
        run: ColumnRun,
        ledger: LedgerArrays,
    ) -> None:
        stop = start + len(run.befores)
        for first, store in columns.firsts(start, stop, ledger):
            feed.enter(f"{ledger.store_names[store]}\x1f{columns.sku_of(first)}")
        feed.add_columns(
            Rows(
                columns.slots(start, stop),
                columns.offsets[start:stop],
                run.numbers[:, field.OCCURRED_US],
                np.array(batch.timestamps_ms[start:stop], np.int64) * 1000,
                demand_of_columns(run.numbers[:, field.KIND], run.numbers[:, field.QUANTITY]),
                run.befores,
                run.afters,
                discrepancies_of(run.befores, run.numbers[:, field.LEVEL], run.numbers[:, field.QUANTITY], run.lates),
                run.numbers[:, field.KIND] == COUNT,
            )
        )

    def _process_run(
        self, batch: RecordBatch, events: Sequence[Event | None], start: int, published: Published | None
    ) -> int:
        """Apply the run of plain, new events that begins at `start`, where there is one; return where it ends."""
        model = self._models.only()
        ledger, window = self._ledger, self._identities
        if not isinstance(ledger, Ledger) or not isinstance(window, Identities):
            raise AssertionError("a task that has taken to machine code takes no runs of events")  # noqa: TRY004 -- a bug
        if model is None or not model.takes_batches:
            return start
        run = take_run(events, start, window, ledger)
        if not run.events:
            return start
        stop = start + len(run.events)
        offsets, keys = batch.offsets[start:stop], batch.keys[start:stop]
        learned_before = model.events_learned
        predictions, learned = model.steps(run)
        self.next_offset = offsets[-1] + 1
        self.records_applied += len(offsets)
        links = [
            _link_prediction(offset, _PREDICTION, nan if predicted is None else predicted)
            for offset, predicted in zip(offsets, predictions, strict=True)
        ]
        self.chain.extend(b"".join(links), _LINK_BYTES)
        for first in run.firsts:
            self._check_route(keys[first], batch.partition, run.events[first].store_id, run.events[first].sku)
        if self._feed is not None:
            numbers = [self._feed.number_of(f"{event.store_id}\x1f{event.sku}") for event in run.events]
            self._feed.add_run(run, numbers, offsets, batch.timestamps_ms[start:stop])
        self._retire(run.events[-1].occurred_us)
        self.tally.add_run(run, model.events_learned - learned_before)
        if published is None:
            return stop
        published.keys.extend(keys)
        published.values.extend(
            encode_run(
                run,
                predictions=predictions,
                learned=learned,
                model_id=self._model_id,
                partition=batch.partition,
                offsets=offsets,
            )
        )
        return stop

    def skip(self, record: Record) -> None:
        """Pass over the next record unread, because the operator said so; that is an outcome of its own."""
        self._advance(record.offset, _link_other(record.offset, Outcome.SKIPPED))
        self.tally.skipped += 1

    def skip_to(self, offset: int) -> None:
        """Move on to `offset` where the log holds no record in between (markers, aborted records)."""
        self.next_offset = max(self.next_offset, offset)

    def begin_snapshot(self) -> TaskSnapshot:
        """Begin a snapshot of the whole state as it is now, of which most may still have to be taken."""
        plain: dict[str, Any] = {
            "progress": (self.next_offset, self.first_offset, self.records_applied, self.chain.snapshot()),
            "identities": self._identities.snapshot(),
            "invalid": self._invalid.snapshot(),
        }
        sections = encode_state(plain)
        if self._feed is not None:
            sections |= self._feed.sections()
        ledger = self._ledger.begin_copy()
        return TaskSnapshot(self.next_offset, sections, ledger, self._models.begin_snapshot())

    def snapshot(self) -> dict[str, Buffer]:
        """Return the whole state as named sections, taken at once; later sections may join them."""
        snapshot = self.begin_snapshot()
        while not snapshot.advance(_ALL_MODELS):
            pass
        return {name: joined(section) for name, section in snapshot.sections().items()}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Take over the state that `snapshot` returned.

        Args:
            state: its sections by name, decoded (`consumer.learning.state.decode_state`).

        Raises:
            KeyError: a section is missing.
            ValueError: a section holds what is no such state.
        """
        # Whole or not at all: whatever may be missing or refused comes first.
        progress, ledger, identities, invalid, models = (state[name] for name in SECTIONS)
        check_whole(identities)
        if self._feed is not None:
            self._feed.restore(state.get(OUTLOOK), ledger.items())
        self._models.restore(models, state.get(PICKLES))
        self.next_offset, self.first_offset, self.records_applied, chain = progress
        self.chain.restore(chain)
        self._invalid.restore(invalid)
        self._machine = None
        model, found = self._models.only(), self._find_machine()
        if found is not None and model is not None and model.takes_batches:
            self._use_machine(found, model, ledger, identities)
        else:
            self._ledger, self._identities = Ledger(), Identities(self._seen_ids)
            self._ledger.restore(ledger)
            self._identities.restore(identities)

    def _retire(self, occurred_us: int) -> None:
        """Let items leave where the event that has just been entered opens a newer day than any before it."""
        if occurred_us < self._ledger.next_day_us:
            return
        retired = self._ledger.sweep(occurred_us, self._item_retire_days)
        self._models.drop(retired)
        if self._feed is not None and retired:
            self._feed.leave(retired.values())
        self.tally.retired += len(retired)

    def _dead_letter(self, record: Record, invalid: InvalidEvent) -> Output:
        if is_letter_too_large(record, self._max_output_bytes):
            invalid = InvalidEvent(Reason.TOO_LARGE)
        offset = record.offset
        self._advance(offset, _link_other(offset, Outcome.DEAD_LETTER) + invalid.reason.encode())
        self._invalid.add(self.records_applied)
        self.tally.dead_letters[invalid.reason.value] += 1
        headers = dead_letter_headers(
            record.headers,
            invalid=invalid,
            topic=self.topic,
            partition=record.partition,
            offset=offset,
            timestamp_ms=record.timestamp_ms,
        )
        if invalid.reason is Reason.TOO_LARGE:
            own = [header for header in headers if header[0].startswith("error.")]
            return Output(Outcome.DEAD_LETTER, None, None, own + size_headers(record.key, record.value, record.headers))
        return Output(Outcome.DEAD_LETTER, record.key, record.value, headers)

    def _check_route(self, key: bytes | None, partition: int, store_id: str, sku: str) -> None:
        """Count an item's first record if it does not lie where all of the item's events meet."""
        wrong = misrouting(
            key,
            store_id=store_id,
            sku=sku,
            partition=partition,
            partitions=self.partitions,
        )
        if wrong is not None:
            self.tally.misrouted[wrong.value] += 1

    def _advance(self, offset: int, link: bytes) -> None:
        self.next_offset = offset + 1
        self.records_applied += 1
        self.chain.add(link)
