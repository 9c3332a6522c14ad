"""What a monitor and a supervisor ask the worker, over real HTTP: each answer with its reason."""

from __future__ import annotations

import http.client
import json
import socket
import threading
from typing import TYPE_CHECKING, Final, NamedTuple

import pytest

from consumer.errors import ExitCode, SettingsError
from consumer.health import STALE_SECONDS, Health, serve
from consumer.metrics import Metrics
from tests.kafka import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator

DEADLINE: Final = 10.0


class Answer(NamedTuple):
    """An HTTP answer."""

    status: int
    content_type: str
    body: str


class Clock:
    """A clock that stands until it is moved."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


class Served:
    """A health service on a free port."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.health = Health(self.clock)
        self.metrics = Metrics()
        self.port, self.stop = serve(0, self.metrics.registry, self.health)

    def get(self, path: str, method: str = "GET") -> Answer:
        """Ask; an answer that is cut short or does not end raises."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=DEADLINE)
        try:
            connection.request(method, path)
            response = connection.getresponse()
            return Answer(response.status, response.headers["Content-Type"], response.read().decode())
        finally:
            connection.close()


@pytest.fixture
def served() -> Iterator[Served]:
    """Serve during a test."""
    made = Served()
    yield made
    threading.Thread(target=made.stop).start()  # which takes half a second that no test needs


def test_livez_while_the_loop_turns(served: Served) -> None:
    """200 while the loop turns, with the time since."""
    served.clock.now += 1.5
    assert served.get("/livez") == Answer(200, "text/plain; charset=utf-8", "ok: the loop turned 1.5 s ago\n")


def test_livez_when_the_loop_is_stuck(served: Served) -> None:
    """A loop that does not turn is 503 with the reason, so that a supervisor restarts it; a beat heals it."""
    served.clock.now += STALE_SECONDS
    assert served.get("/livez").status == 200
    served.clock.now += 1
    answer = served.get("/livez")
    assert (answer.status, answer.body) == (503, "not ok: the loop has not turned for 61 s, in start\n")
    served.health.beat("poll")
    assert served.get("/livez").status == 200


def test_readyz_from_start_to_stop(served: Served) -> None:
    """Not ready with the reason until the group was joined and all is restored, and again in a recovery."""
    assert served.get("/readyz")[::2] == (503, "not ok: starting\n")
    served.health.not_ready("1 of 2 assigned partitions are restored")
    assert served.get("/readyz")[::2] == (503, "not ok: 1 of 2 assigned partitions are restored\n")
    served.health.ready()
    assert served.get("/readyz")[::2] == (200, "ok: joined, and every assigned partition is restored\n")
    served.health.not_ready("recovering: fenced")
    assert served.get("/readyz")[::2] == (503, "not ok: recovering: fenced\n")


def test_a_stuck_worker_may_still_be_called_ready(served: Served) -> None:
    """The two questions are apart: a restart is the supervisor's answer to /livez alone."""
    served.health.ready()
    served.clock.now += STALE_SECONDS + 1
    assert served.get("/readyz").status == 200
    assert served.get("/livez").status == 503


def test_metrics(served: Served) -> None:
    """Prometheus' text format, with what was counted up to now."""
    served.metrics.count("records_consumed", 7)
    answer = served.get("/metrics")
    assert answer.status == 200
    assert answer.content_type.startswith("text/plain")
    assert "smart_inventory_records_consumed_total 7.0\n" in answer.body


@pytest.mark.parametrize("path", ["/", "/metrics/", "/livez/x", "/healthz", "/%2e%2e"])
def test_other_paths_say_which_there_are(served: Served, path: str) -> None:
    """A wrong path in a probe is found by asking it."""
    assert served.get(path)[::2] == (404, "/metrics, /livez, /readyz\n")


def test_a_query_does_not_hide_the_path(served: Served) -> None:
    """Kubernetes and browsers append queries."""
    assert served.get("/livez?verbose").status == 200


def test_answers_keep_their_own_length(served: Served) -> None:
    """Answers of different lengths in turn are each whole: once, the first answer's length cut the next ones."""
    for reason in ("a longer reason than the other", "short", "a longer reason than the other"):
        served.health.not_ready(reason)
        assert served.get("/readyz").body == f"not ok: {reason}\n"
        assert served.get("/livez").body.startswith("ok: ")
        assert served.get("/nowhere").body == "/metrics, /livez, /readyz\n"


def test_a_slow_client_holds_up_nobody(served: Served) -> None:
    """A client that connects and says nothing must not make a supervisor's probe time out."""
    with socket.create_connection(("127.0.0.1", served.port), DEADLINE):
        assert served.get("/livez").status == 200


def test_requests_leave_no_line_in_the_log(served: Served, capfd: pytest.CaptureFixture[str]) -> None:
    """Standard output is the JSON log and nothing else."""
    served.get("/livez")
    served.get("/nowhere")
    assert capfd.readouterr() == ("", "")


def test_a_taken_port_is_a_sentence(served: Served) -> None:
    """Two workers on one machine: the second says which setting to change."""
    with pytest.raises(SettingsError, match=f"METRICS_PORT={served.port} .*; choose another port, or 0") as caught:
        serve(served.port, served.metrics.registry, served.health)
    assert caught.value.exit_code is ExitCode.USAGE


def test_stopping_ends_the_thread() -> None:
    """Once stopped, nothing is left running."""
    before = set(threading.enumerate())
    served = Served()
    assert served.get("/livez").status == 200
    served.stop()
    wait_until(
        lambda: not [each for each in threading.enumerate() if each.name == "metrics" and each not in before],
        DEADLINE,
        "the thread to end",
    )


def test_serving_does_not_keep_the_process(served: Served) -> None:
    """The threads are daemons: a probe that hangs cannot hold up the stop."""
    assert [each.daemon for each in threading.enumerate() if each.name == "metrics"]
    assert all(each.daemon for each in threading.enumerate() if each.name == "metrics")
    assert served.port > 0


def test_reasons_are_plain_text(served: Served) -> None:
    """A reason from the broker may hold anything; the answer stays one in UTF-8."""
    served.health.not_ready(json.dumps({"grüße": "\n"}, ensure_ascii=False))
    assert served.get("/readyz").body == 'not ok: {"grüße": "\\n"}\n'
