"""The watchdog: what counts as standing still, what does not, and how a process is ended, the last resort included."""

from __future__ import annotations

import subprocess
import sys
import textwrap
import time
from typing import TYPE_CHECKING, Final

import pytest

from consumer.broker import EndOfPartition
from consumer.errors import ExitCode, SettingsError
from consumer.health import Health, Stillness
from consumer.last_resort import ExitTimer
from consumer.watchdog import Watchdog, check_limit, livez_seconds
from tests.kafka import wait_until
from tests.stage import ROOT

if TYPE_CHECKING:
    from collections.abc import Callable

LIMIT: Final = 90.0


class Clock:
    """A clock that stands until it is moved."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


class EndedError(Exception):
    """Stands for the end of the process."""


class Ending:
    """Takes notes instead of ending anything."""

    def __init__(self) -> None:
        self.put_off_by: list[float] = []
        self.called_off = 0
        self.still: Stillness | None = None

    def put_off(self, seconds: float) -> None:
        self.put_off_by.append(seconds)

    def call_off(self) -> None:
        self.called_off += 1

    def end(self, still: Stillness) -> None:
        self.still = still
        raise EndedError


class Scene:
    """A watchdog, what it watches, and time."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.health = Health(self.clock)
        self.ending = Ending()
        self.told: list[float] = []
        self.watchdog = Watchdog(
            LIMIT, stillness=self.health.stillness, ending=self.ending, clock=self.clock, tell=self.told.append
        )

    def pass_seconds(self, seconds: float, each_second: Callable[[], None] = lambda: None) -> None:
        """Let time pass, the watchdog looking once a second."""
        for _ in range(int(seconds)):
            self.clock.now += 1
            each_second()
            self.watchdog.look()


def test_a_loop_that_stands_still_is_ended() -> None:
    """Not before the limit; then with the phase in which it stands and for how long."""
    scene = Scene()
    scene.health.beat("commit")
    scene.pass_seconds(LIMIT - 1)
    with pytest.raises(EndedError):
        scene.pass_seconds(1)
    assert scene.ending.still == Stillness(LIMIT, "commit", None, None)
    assert scene.told[-2:] == [LIMIT - 1, LIMIT]


def test_a_loop_that_turns_is_not() -> None:
    """A beat at any time begins the count anew."""
    scene = Scene()
    for _ in range(5):
        scene.pass_seconds(LIMIT - 1)
        scene.health.beat("poll")
    assert scene.ending.still is None


def test_each_record_is_a_sign_of_life() -> None:
    """A slow model is slow, not stuck; one that does not return from a record is, and the record is named."""
    scene = Scene()
    scene.health.beat("process")
    for offset in range(5):
        scene.health.record = EndOfPartition(3, offset)
        scene.pass_seconds(LIMIT - 1)
    scene.health.record = EndOfPartition(3, 5)
    with pytest.raises(EndedError):
        scene.pass_seconds(LIMIT + 1)
    assert scene.ending.still is not None
    assert scene.ending.still.where() == "in process, partition 3, offset 5"


def test_the_place_goes_with_the_record() -> None:
    """Once the loop does something else, no record is said to be in the way."""
    scene = Scene()
    scene.health.record = EndOfPartition(0, 7)
    scene.health.beat("commit")
    assert scene.health.stillness().where() == "in commit"


def test_a_frozen_process_is_not_held_against_the_loop() -> None:
    """After SIGSTOP and SIGCONT the loop has its full time, however long all stood still; but not for ever."""
    scene = Scene()
    scene.pass_seconds(30)
    scene.clock.now += 10 * LIMIT
    scene.watchdog.look()
    scene.pass_seconds(LIMIT - 36)  # of the freeze, 5 s count
    assert scene.ending.still is None
    with pytest.raises(EndedError):
        scene.pass_seconds(1)


def test_an_excuse_ends_with_the_next_sign_of_life() -> None:
    """What was forgiven once does not lengthen the limit of a later stillness."""
    scene = Scene()
    scene.clock.now += 10 * LIMIT
    scene.watchdog.look()
    scene.health.beat("poll")
    scene.pass_seconds(LIMIT - 1)
    with pytest.raises(EndedError):
        scene.pass_seconds(1)


def test_each_look_puts_the_last_resort_off() -> None:
    """It acts by itself where no look comes any more, and never once the watchdog was stopped."""
    scene = Scene()
    scene.pass_seconds(3)
    assert scene.ending.put_off_by == [LIMIT] * 3
    scene.watchdog.stop()
    assert scene.ending.called_off == 1


def test_the_thread_looks_until_it_is_stopped() -> None:
    """Started, it looks by itself; stopped, the last resort is called off last of all."""
    scene = Scene()
    scene.watchdog.start()
    wait_until(lambda: scene.told, 10, "a look")
    scene.watchdog.stop()
    wait_until(lambda: scene.ending.called_off == 2, 10, "the thread to end")
    assert scene.ending.still is None


def test_livez_fails_before_the_end() -> None:
    """A monitor sees the reason while the process still answers; a long limit does not keep it waiting."""
    assert livez_seconds(90, 60) == 60
    assert livez_seconds(30, 60) == pytest.approx(20)
    assert livez_seconds(86_400, 60) == 60


def test_a_limit_below_what_calls_may_take_is_refused() -> None:
    """The sentence says what was expected and why; the margin is 5 s."""
    check_limit(35, 30)
    with pytest.raises(SettingsError, match=r"WATCHDOG_SECONDS=34.9: expected at least 35; .* may take 30 s"):
        check_limit(34.9, 30)


# The process's end, in processes of their own


def ended(program: str) -> tuple[int, str, float]:
    """Run a program that arms the last resort; return its exit code, its standard error and how long it took."""
    started = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(program)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    return done.returncode, done.stderr, time.monotonic() - started


PRELUDE: Final = """
        import ctypes, os, sys, threading, time
        from consumer import last_resort, logs
        from consumer.health import Stillness
        from consumer.settings import LogFormat
        ending = last_resort.LastResort(logs.configure(LogFormat.JSON), 90)
"""


def test_it_ends_with_the_lock_held() -> None:
    """A C call that keeps the interpreter's lock: no Python runs, and still the stacks come, and the exit code."""
    code, said, seconds = ended(f"""{PRELUDE}
        def the_model():
            ctypes.PyDLL(None).sleep(3600)
        threading.Timer(0, ending.put_off, [0.5]).run()
        the_model()
    """)
    assert code == ExitCode.STUCK
    assert "in the_model" in said
    assert seconds < 20


def test_it_is_put_off_and_called_off() -> None:
    """Put off in time, or called off, it does nothing."""
    code, said, _ = ended(f"""{PRELUDE}
        last_resort._DUMP_SECONDS = 0.2
        for _ in range(10):
            ending.put_off(0.5)
            time.sleep(0.2)
        ending.call_off()
        time.sleep(1)
    """)
    assert (code, said) == (0, "")


def test_it_ends_where_nobody_reads_the_log() -> None:
    """A full pipe on standard output blocks every line of the log; the process ends all the same."""
    code, said, seconds = ended(f"""{PRELUDE}
        last_resort._DUMP_SECONDS = 1
        reading, writing = os.pipe()
        os.dup2(writing, 1)
        os.set_blocking(1, False)
        try:
            while True:
                os.write(1, b"x" * 65536)
        except BlockingIOError:
            os.set_blocking(1, True)
        ending.end(Stillness(91.0, "poll", None, None))
    """)
    assert code == ExitCode.STUCK
    assert "most recent call first" in said
    assert seconds < 20


def test_what_it_says() -> None:
    """Stacks of all threads and one sentence on standard error, one line in the log."""
    done = subprocess.run(
        [
            sys.executable,
            "-c",
            textwrap.dedent(f"""{PRELUDE}
        def another(): time.sleep(60)
        threading.Thread(target=another, daemon=True).start()
        def the_loop(): ending.end(Stillness(91.26, "process", 3, 1205))
        the_loop()
        """),
        ],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == ExitCode.STUCK
    assert "in another" in done.stderr
    assert "in the_loop" in done.stderr
    *_, sentence = done.stderr.splitlines()
    assert sentence.startswith(
        "smart-inventory: stuck: no sign of life for 91 s in process, partition 3, offset 1205, at "
    )
    for part in ('"event": "stuck"', '"phase": "process"', '"offset": 1205', '"seconds": 91.3', '"exit_code": 13'):
        assert part in done.stdout
    assert len(done.stdout.splitlines()) == 1


@pytest.mark.skipif(sys.platform != "linux", reason="the timer is Linux's")
def test_the_timer_exists_here() -> None:
    """Where this system has the timer, it can be made and called off; else faulthandler's exit code 1 would be all."""
    timer = ExitTimer(99)
    timer.set(60)
    timer.set(0)


def test_without_the_timer_faulthandler_ends_it() -> None:
    """On a system without it the process ends too, with faulthandler's own exit code."""
    code, said, _ = ended(f"""{PRELUDE}
        ending._timer = None
        ending.put_off(0.5)
        ctypes.PyDLL(None).sleep(3600)
    """)
    assert code == ExitCode.UNEXPECTED
    assert "Timeout" in said
