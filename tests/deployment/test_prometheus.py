"""A real Prometheus, configured as the stack's is, on a real worker: every panel of the dashboard has data."""

from __future__ import annotations

import json
import shutil
import subprocess
import urllib.parse
import urllib.request
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Any, Final

import pytest

from tests.deployment.stack import running_stack
from tests.deployment.test_dashboard import OPS, expressions
from tests.kafka import wait_until
from tests.kafka.broker import free_port

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = [pytest.mark.broker, pytest.mark.deep, pytest.mark.timeout(600)]

SECONDS: Final = 60


def _samples(port: int, expression: str) -> list[Any]:
    query = urllib.parse.urlencode({"query": expression})
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/api/v1/query?{query}", timeout=10) as answer:
        result: list[Any] = json.load(answer)["data"]["result"]
        return result


def test_every_panel_has_data(tmp_path: Path) -> None:
    """Each expression of the dashboard gives at least one sample, and those that must move are above 0."""
    prometheus = shutil.which("prometheus")
    if prometheus is None:
        pytest.skip("no prometheus (Debian's package prometheus has it)")
    port = free_port()
    with running_stack() as stack:
        configuration = (OPS / "prometheus" / "prometheus.yml").read_text()
        assert "worker:8000" in configuration
        configuration = configuration.replace("worker:8000", f"127.0.0.1:{stack.metrics_port}")
        (tmp_path / "prometheus.yml").write_text(configuration.replace("_interval: 5s", "_interval: 1s"))
        flags = [f"--config.file={tmp_path}/prometheus.yml", f"--storage.tsdb.path={tmp_path}/data"]
        server = subprocess.Popen(
            [prometheus, *flags, f"--web.listen-address=127.0.0.1:{port}"],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        shop = stack.start("simulator", "--rate=100")
        try:
            with stack.worker():
                missing = expressions()

                def all_have_data() -> bool:
                    with suppress(OSError):
                        missing[:] = [each for each in missing if not _samples(port, each)]
                    return not missing

                with suppress(TimeoutError):
                    wait_until(all_have_data, SECONDS, "data for every expression")
                assert not missing
                for moving in ("records_consumed_total", "predictions_produced_total", "transactions_total"):
                    positive = f"sum(rate(smart_inventory_{moving}[1m])) > 0"
                    wait_until(partial(_samples, port, positive), SECONDS, positive)
                assert _samples(port, 'sum(up{job="smart-inventory"})')[0]["value"][1] == "1"
        finally:
            shop.kill()
            shop.communicate()
            server.kill()
            server.wait()
