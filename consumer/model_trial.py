"""A model of the user's own on trial: the contract's checks, and processes with other hash seeds to compare with."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Final

from consumer import hash_seed
from consumer.checkpoint.unpickling import safe_loads
from consumer.errors import ModelError, RetryError
from consumer.learning.check_model import Finding, Severity, check_model
from consumer.learning.typical import predictions_digest
from consumer.model_choice import admitted_classes, is_own, regressor_kind

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from structlog.typing import FilteringBoundLogger

    from consumer.broker import Connection

_SEEDS: Final = ("1", "2", "3")
_SEED_CHECK: Final = "does not depend on the hash seed"
_SEEDED_SECONDS: Final = 60.0
_BEAT_SECONDS: Final = 1.0
_COMMITTED_SECONDS: Final = 5.0
_PROGRAM: Final = "import sys; from consumer.model_trial import show_digest; show_digest(sys.argv[1])"


def try_model(model: str, beat: Callable[[], None] = lambda: None) -> list[Finding]:
    """Check the models of `MODEL`; return a finding for each check.

    Args:
        model: what `MODEL` says.
        beat: called again and again while this takes its time.

    Raises:
        SettingsError: there is no such model.
    """
    kind, admitted = regressor_kind(model), admitted_classes(model)
    others = {seed: _start(model, seed) for seed in _SEEDS}  # they work while the checks are made here
    try:
        findings = check_model(kind.factory, lambda data: safe_loads(data, admitted), kind.infinite_on_purpose, beat)
        if not faults_of(findings):
            findings.append(_compare(predictions_digest(kind.factory), others, beat))
    finally:
        for process in others.values():
            process.kill()
            process.communicate()
    return findings


def try_before_first_event(
    model: str, connection: Connection, partitions: int, log: FilteringBoundLogger, beat: Callable[[], None]
) -> None:
    """Check a model of the user's own where the group has committed nothing yet: a faulty one has cost nothing then.

    Raises:
        ModelError: it does not keep the contract.
    """
    if not is_own(model) or any(_is_committed(connection, partition) for partition in range(partitions)):
        return
    findings = try_model(model, beat)
    faults = faults_of(findings)
    if faults:
        sentences = "; ".join(f"{fault.check}: {fault.sentence}" for fault in faults)
        raise ModelError(f"MODEL={model!r} fails {len(faults)} of {len(findings)} checks. {sentences}")
    for finding in findings:
        if finding.severity is Severity.WARNING:
            log.warning("model_warning", check=finding.check, reason=finding.sentence)
    log.info("model_checked", model=model, checks=len(findings))


def faults_of(findings: Sequence[Finding]) -> list[Finding]:
    """Return the findings that keep a worker from starting."""
    return [finding for finding in findings if finding.severity is Severity.FAULT]


def show_digest(model: str) -> None:
    """Print the digest of a model's predictions: what a process with another hash seed is for."""
    digest = predictions_digest(regressor_kind(model).factory)
    sys.stdout.write(f"\n{digest}")  # the last line, whatever the user's module prints


def _is_committed(connection: Connection, partition: int) -> bool:
    try:
        return connection.committed(partition, _COMMITTED_SECONDS) is not None
    except RetryError:
        return False  # to check a model once too often does no harm


def _start(model: str, seed: str) -> subprocess.Popen[str]:
    return subprocess.Popen(  # noqa: S603 -- this very software, with this process's own search path
        [sys.executable, "-P", "-c", _PROGRAM, model],
        env={**os.environ, hash_seed.VARIABLE: seed, "PYTHONPATH": os.pathsep.join(sys.path)},
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )


def _output_of(process: subprocess.Popen[str], beat: Callable[[], None]) -> str:
    deadline = time.monotonic() + _SEEDED_SECONDS
    while time.monotonic() < deadline:
        beat()
        try:
            return process.communicate(timeout=_BEAT_SECONDS)[0]
        except subprocess.TimeoutExpired:
            continue
    return ""


def _compare(expected: str, others: Mapping[str, subprocess.Popen[str]], beat: Callable[[], None]) -> Finding:
    differing = []
    for seed, process in others.items():
        output = _output_of(process, beat)
        if process.returncode != 0:
            return Finding(
                _SEED_CHECK,
                Severity.WARNING,
                f"expected a process with {hash_seed.VARIABLE}={seed} to predict, too; it ended with "
                f"{process.returncode}, so whether predictions depend on the hash seed is not known",
            )
        if output.rpartition("\n")[2] != expected:
            differing.append(seed)
    if not differing:
        return Finding(_SEED_CHECK, Severity.PASSED, "")
    return Finding(
        _SEED_CHECK,
        Severity.WARNING,
        f"expected equal predictions under every hash seed; under {hash_seed.VARIABLE}={', '.join(differing)} they "
        "differ. A worker's seed follows from CONSUMER_GROUP and CHECKPOINT_SIGNING_KEY, so under others of these "
        "predictions will differ in their last digits",
    )
