"""Ten wrong uses, each really done: it ends by itself, with one sentence that says what to do."""

from __future__ import annotations

import shutil
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

from confluent_kafka.admin import AclOperation  # type: ignore[attr-defined]  # re-exported without saying so

from benchmarks.figures import Figure, Report
from benchmarks.wrong_uses import elsewhere, old_python
from benchmarks.wrong_uses.permissions import PASSWORD, grant_all_but, login
from benchmarks.wrong_uses.saying import Ending, Use, ending, faults, run
from consumer.simulate.synthetic import synthetic_events
from tests.kafka import BrokerError, wait_until
from tests.kafka.apache import ApacheBroker
from tests.kafka.broker import free_port
from tests.kafka.jars import find_installation
from tests.stage import Stage

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.kafka import Broker

SEED = 7
KINDS = 10
START_SECONDS = 15.0
"""Within which a start that cannot be is refused, where no broker has to be waited for."""

NO_BROKER_SECONDS = 40.0
CLASH_SECONDS = 60.0
COMMAND = [sys.executable, "-m", "consumer", "run"]
LACKING = {
    ("input", AclOperation.READ): ("INPUT_TOPIC", "Read"),
    ("input", AclOperation.DESCRIBE_CONFIGS): ("DescribeConfigs",),
    ("output", AclOperation.WRITE): ("OUTPUT_TOPIC", "Write"),
    ("dead-letters", AclOperation.WRITE): ("DEAD_LETTER_TOPIC", "Write"),
    ("group", AclOperation.READ): ("CONSUMER_GROUP",),
    ("transactional-id", AclOperation.WRITE): ("transactional id",),
}
"""Permissions left out, one at a time, and what the sentence must name."""


def demonstrate(report: Report, broker: Broker, directory: Path) -> None:
    """Do each wrong use, print what it says, and judge it."""
    stage = Stage(broker.bootstrap_servers, directory / "stage", partitions=2, prefix="wrong")
    stage.send(synthetic_events(seed=SEED, limit=500))
    endings: list[Ending] = []
    for done in (
        _no_broker,
        _wrong_port,
        _wrong_topic,
        _bad_setting,
        _missing_permission,
        _port_taken,
        _full_disk,
        _unwritable,
        _one_name_twice,
        _wrong_python,
    ):
        for ended in done(stage, directory):
            ended.show()
            endings.append(ended)
    _report(report, endings, directory)


def _report(report: Report, endings: list[Ending], directory: Path) -> None:
    report.counts["endings"] = [
        {
            "use": ended.use.name,
            "exit_code": ended.code,
            "seconds": round(ended.seconds, 1),
            "said": [_elsewhere(line, directory) for line in ended.said],
            "faults": ended.faults,
        }
        for ended in endings
    ]
    print()
    kinds = {ended.use.name.partition(":")[0] for ended in endings}
    report.add(Figure("kinds of wrong use", len(kinds), "=", KINDS))
    report.add(Figure("wrong uses", len(endings), ">=", KINDS))
    good = sum(not ended.faults for ended in endings)
    report.add(Figure("ended in time, as documented, with one sentence on what to do", good, "=", len(endings)))
    report.add(Figure("longest time to the end, s", max(ended.seconds for ended in endings), "<=", CLASH_SECONDS))
    early = [ended.seconds for ended in endings if ended.use.seconds <= START_SECONDS]
    report.add(Figure("longest where nothing has to be waited for, s", max(early), "<=", START_SECONDS))


def _elsewhere(line: str, directory: Path) -> str:
    """Return a line without the paths of this machine."""
    return line.replace(str(directory), "DIRECTORY").replace(str(Path.home()), "HOME")


def _worker(use: Use, stage: Stage, **changed: str) -> Ending:
    started = time.monotonic()
    return ending(use, run(COMMAND, stage.environment(**changed)), started)


def _no_broker(stage: Stage, _directory: Path) -> Iterator[Ending]:
    address = f"127.0.0.1:{free_port()}"
    use = Use("no broker", 9, NO_BROKER_SECONDS, (address, "KAFKA_BOOTSTRAP_SERVERS"), ("start the broker",))
    ended = _worker(use, stage, KAFKA_BOOTSTRAP_SERVERS=address)
    waited = [line for line in ended.lines if line["event"] == "waiting_for_broker"]
    if not waited or "seconds_left" not in waited[0]:
        ended.faults.append("it does not say meanwhile that it waits")
    yield ended


def _wrong_port(stage: Stage, _directory: Path) -> Iterator[Ending]:
    with elsewhere.web_server() as address:
        names = (address, "KAFKA_BOOTSTRAP_SERVERS", "as a Kafka broker")
        yield _worker(
            Use("wrong port: a web server", 9, NO_BROKER_SECONDS, names, ("mend the address",)),
            stage,
            KAFKA_BOOTSTRAP_SERVERS=address,
        )


def _wrong_topic(stage: Stage, _directory: Path) -> Iterator[Ending]:
    use = Use("wrong topic", 3, START_SECONDS, ("nowhere", "INPUT_TOPIC"), ("topics create",))
    yield _worker(use, stage, INPUT_TOPIC="nowhere")


def _bad_setting(stage: Stage, _directory: Path) -> Iterator[Ending]:
    use = Use(
        "bad setting: no number", 2, START_SECONDS, ("COMMIT_INTERVAL_MS='often'",), ("expected a valid integer",)
    )
    yield _worker(use, stage, COMMIT_INTERVAL_MS="often")
    use = Use("bad setting: a property of the worker's", 2, START_SECONDS, ("KAFKA_ACKS",), ("unset it",))
    yield _worker(use, stage, KAFKA_ACKS="1")
    use = Use("bad setting: a value that Kafka refuses", 2, START_SECONDS, ("KAFKA_LINGER_MS='soon'",), ("unset it",))
    yield _worker(use, stage, KAFKA_LINGER_MS="soon")


def _missing_permission(_stage: Stage, directory: Path) -> Iterator[Ending]:
    users = {f"till{number}": PASSWORD for number in range(len(LACKING))}
    with ApacheBroker.start(find_installation(), users=users) as broker:
        if broker.sasl_servers is None:
            raise BrokerError("the broker has users and says not where")
        stage = Stage(broker.bootstrap_servers, directory / "permissions", partitions=1, prefix="acl")
        stage.send(synthetic_events(seed=SEED, limit=100))
        for user, (lacking, named) in zip(users, LACKING.items(), strict=True):
            environment = stage.environment(user)
            grant_all_but(broker.bootstrap_servers, user, environment, lacking)
            what = f"{lacking[1].name.lower()} on {lacking[0]}"
            use = Use(f"missing permission: {what}", 9, START_SECONDS, named, ("grant",))
            yield _worker(use, stage, **{**environment, **login(broker.sasl_servers, user)})
        use = Use("missing permission: a wrong password", 9, START_SECONDS, ("KAFKA_SASL_PASSWORD",), ("check",))
        yield _worker(use, stage, **login(broker.sasl_servers, "till0", "guessed"))


def _port_taken(stage: Stage, _directory: Path) -> Iterator[Ending]:
    with elsewhere.taken_port() as port:
        use = Use("port taken", 2, START_SECONDS, (f"METRICS_PORT={port}",), ("choose another port",))
        yield _worker(use, stage, METRICS_PORT=str(port))


def _full_disk(stage: Stage, directory: Path) -> Iterator[Ending]:
    if not elsewhere.can_mount():
        print("\n  full disk: left out, this user may not mount a disk of their own")
        return
    disk = directory / "disk"
    disk.mkdir()
    checkpoints = {"CHECKPOINT_URL": f"file:{disk}"}
    names = ("CHECKPOINT_URL", "No space left on device")
    use = Use("full disk: at the start", 8, START_SECONDS, names, ("make room",))
    started = time.monotonic()
    command = elsewhere.on_disk_of(str(disk), "64k", COMMAND, filled=True)
    yield ending(use, run(command, stage.environment(**checkpoints)), started)
    yield _disk_that_fills(stage, disk)


def _disk_that_fills(stage: Stage, disk: Path) -> Ending:
    """Fill the disk once the worker has written a checkpoint; it goes on until a restart would replay too much."""
    use = Use(
        "full disk: in mid-run",
        8,
        CLASH_SECONDS,
        ("MAX_REPLAY_RECORDS", "No space left on device", str(disk)),
        ("make room",),
    )
    stage.renew_group()
    environment = stage.environment(
        CHECKPOINT_URL=f"file:{disk}", CHECKPOINT_INTERVAL_SECONDS="1", MAX_REPLAY_RECORDS="2000"
    )
    process = run(elsewhere.on_disk_of(str(disk), "8m", COMMAND), environment)
    inside = disk.relative_to("/")
    seen = f"/proc/{process.pid}/root/{inside}"
    wait_until(lambda: _files(seen), 60, "the first checkpoint")
    with open(f"{seen}/full", "wb", buffering=0) as full:  # noqa: PTH123 -- a path of another mount namespace
        try:
            while full.write(bytes(4096)):
                pass
        except OSError:
            started = time.monotonic()
    stage.send(synthetic_events(seed=SEED + 1, limit=12_000), rate=1_500)
    ended = ending(use, process, started)
    if not any(line["event"] == "checkpoint_failed" for line in ended.lines):
        ended.faults.append("the log does not say that checkpoints fail")
    return ended


def _files(directory: str) -> list[Path]:
    return list(Path(directory).glob("*/*/*/*.checkpoint"))


def _unwritable(stage: Stage, directory: Path) -> Iterator[Ending]:
    where = directory / "unwritable"
    where.mkdir()
    names = ("CHECKPOINT_URL", str(where))
    checkpoints = {"CHECKPOINT_URL": f"file:{where}/checkpoints"}
    if elsewhere.can_mount():
        use = Use("unwritable directory: mounted read-only", 8, START_SECONDS, names, ("mount it writable",))
        started = time.monotonic()
        command = elsewhere.on_read_only(str(where), COMMAND)
        yield ending(use, run(command, stage.environment(**checkpoints)), started)
    (where / "checkpoints").touch()
    use = Use("unwritable directory: a file", 8, START_SECONDS, names, ("name another place",))
    yield _worker(use, stage, **checkpoints)


def _one_name_twice(stage: Stage, _directory: Path) -> Iterator[Ending]:
    stage.renew_group()
    names = ("INSTANCE_ID='till'", stage.group)
    use = Use("two workers of one name", 6, CLASH_SECONDS, names, ("give each worker its own",))
    with stage.worker("till") as first:
        wait_until(lambda: first.events("partition_live") or first.events("partition_fresh"), 60, "the first to work")
        started = time.monotonic()
        second = run(COMMAND, stage.environment("till"))
        try:
            wait_until(
                lambda: first.process.poll() is not None or second.poll() is not None, CLASH_SECONDS, "one to end"
            )
        finally:
            took = time.monotonic() - started
            stops_first = first.process.poll() is not None
            first.kill()
            if stops_first:
                second.kill()
        if stops_first:
            second.communicate()
            text = first.log.read_text(encoding="utf-8")
            split = [line for line in text.splitlines() if line.startswith("smart-inventory: ")]
            ended = Ending(use, first.process.returncode, text, "\n".join(split), took)
            ended.faults = faults(ended)
        else:
            ended = ending(use, second, started)
        yield ended


def _wrong_python(_stage: Stage, directory: Path) -> Iterator[Ending]:
    python = old_python.find() or old_python.fake(directory)
    project = old_python.copy_of_the_project(directory)
    version = old_python.version(python)
    use = Use("wrong Python: make", 2, START_SECONDS, ("3.11", version, "PYTHON="), ("set PYTHON=",))
    yield _by(use, ["make", "--no-print-directory", f"PYTHON={python}", "show"], project)
    if not old_python.is_real(python):
        print("\n  wrong Python: pip and `python -m consumer` left out, no Python before 3.11 is here")
        return
    use = Use("wrong Python: python -m consumer", 2, START_SECONDS, ("3.11", version), ("install it into",))
    yield _by(use, [python, "-m", "consumer", "run"], old_python.ROOT)
    names = ("smart-inventory", ">=3.11", version)
    use = Use("wrong Python: pip install", 1, START_SECONDS, names, ("requires a different Python",), "ERROR: ")
    environment = shutil.which(python) or python
    yield _by(use, [environment, "-m", "pip", "install", "--no-deps", "--target", str(directory / "x"), "."], project)


def _by(use: Use, command: list[str], cwd: Path) -> Ending:
    started = time.monotonic()
    return ending(use, run(command, cwd=cwd), started)
