"""`MODEL`: a name becomes a kind of model, or one sentence says what was expected and what to do."""

from __future__ import annotations

import math
import os
import pickle
import subprocess
import sys
from typing import TYPE_CHECKING, Any, Final
from unittest import mock

import msgspec
import pytest
from typer.testing import CliRunner

from consumer import model_trial
from consumer.checkpoint.unpickling import UnsafePickleError, safe_loads
from consumer.cli import app
from consumer.commands import terminal
from consumer.errors import ExitCode, ModelError, RetryError, SettingsError
from consumer.learning.check_model import _CHECKS, Finding, Severity
from consumer.learning.features import FEATURE_NAMES
from consumer.learning.fingerprint import LearningSettings, fingerprint
from consumer.learning.guarded_kind import GuardedKind
from consumer.learning.ledger import Posting
from consumer.learning.linear import get_ml_pipeline
from consumer.learning.model import ModelScope
from consumer.learning.pickled import pickled
from consumer.learning.share import get_share_pipeline
from consumer.learning.typical import predictions, typical_samples
from consumer.model_choice import admitted_classes, is_own, model_kind, regressor_kind
from consumer.model_trial import faults_of, try_before_first_event, try_model
from schemas.transaction import Limits, decode
from tests.stage import ROOT

if TYPE_CHECKING:
    from collections.abc import Iterator

    from schemas.transaction import Event

MODELS: Final = ROOT / "tests" / "models"


@pytest.fixture(autouse=True)
def _importable(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Modules of models are found as a worker finds them: by PYTHONPATH."""
    monkeypatch.syspath_prepend(str(MODELS))
    yield
    for name in ("shop_models", "broken_module", "needy_module"):
        sys.modules.pop(name, None)


def own(name: str) -> str:
    """A function of the shop's module."""
    return f"shop_models:{name}"


def learned(level: float) -> tuple[Event, Posting]:
    """An event with its level, as a model is stepped with it."""
    fields = {
        "transaction_id": "t",
        "store_id": "s",
        "sku": "k",
        "quantity": -1,
        "occurred_at": "2023-05-04T10:00:00Z",
        "new_stock_level": level,
    }
    event = decode(msgspec.json.encode(fields), -1, Limits())
    return event, Posting(None, event.level_millionths, False)


@pytest.mark.parametrize(
    ("model", "expected"),
    [
        ("linear", False),
        ("guarded", False),
        ("shop:forest", True),
        ("shop.models:forest", True),
        (":forest", False),
        ("shop:", False),
        ("shop.:forest", False),
        ("shop:forest()", False),
        ("shop/models:forest", False),
        ("shop:Forest.make", False),
    ],
)
def test_what_a_model_of_ones_own_looks_like(model: str, expected: bool) -> None:
    """module:function, the module dotted; everything else names no function."""
    assert is_own(model) is expected
    if not expected and model not in {"linear", "guarded"}:
        with pytest.raises(SettingsError, match="expected guarded, linear, or module:function"):
            model_kind(model)


def test_own_models_learn_as_linear_does() -> None:
    """The same features, target and rule: a model by name is River's regressor, stepped event by event."""
    kind = model_kind(own("growing_tree"))
    model = kind.new()
    regressor, events_learned = model.state()
    assert (pickled(regressor).digest(), events_learned) == (pickled(fresh("growing_tree")).digest(), 0)
    model.step(*learned(5.0))
    regressor, events_learned = model.state()
    assert events_learned == 1
    assert pickled(regressor).digest() != pickled(fresh("growing_tree")).digest()
    again = kind.restored(pickle.loads(pickle.dumps((regressor, events_learned))))
    assert again.step(*learned(7.0)) == model.step(*learned(7.0))


def fresh(name: str) -> Any:
    """A new model of the shop's module."""
    return regressor_kind(own(name)).factory()


def test_new_models_share_nothing() -> None:
    """Each partition, store or item has a model of its own."""
    kind = model_kind(own("drifting"))
    first, second = kind.new(), kind.new()
    first.step(*learned(100.0))
    assert second.step(*learned(1.0)) == 0.0


@pytest.mark.parametrize("model", ["linear", own("drifting")])
def test_a_warm_start_takes_the_place_of_an_untrained_model(model: str) -> None:
    """New models begin with it; what the fingerprint says of the model itself stays the same."""
    trained = regressor_kind(model).factory()
    predictions(trained, list(typical_samples()))
    data = pickle.dumps(trained)
    kind = model_kind(model, lambda: pickle.loads(data))
    assert kind.new().step(*learned(3.0)) == pickle.loads(data).predict_one(
        {"quantity": 1.0, "day_of_week": 3, "month": 5, "year": 2023, "is_sale": 1, "unit_cost": 0.0}
    )
    assert kind.parameters == model_kind(model).parameters


@pytest.mark.parametrize("model", ["linear", own("drifting"), "guarded"])
def test_a_broken_warm_start_is_refused(model: str) -> None:
    """A file whose numbers are not finite would break the model with every event: said at the start."""

    def broken() -> Any:
        regressor: Any = get_ml_pipeline() if model == "guarded" else regressor_kind(model).factory()
        regressor.level = regressor.intercept = math.nan
        return regressor

    with pytest.raises(ModelError, match=r"ML_MODEL_PATH: expected a (model whose numbers are finite|pipeline that)"):
        model_kind(model, broken)


def test_guarded_begins_with_what_it_trained() -> None:
    """A pipeline of its own is taken over as a copy; its kind is told from every other."""
    trained = get_share_pipeline()
    trained.learn_one(dict(zip(FEATURE_NAMES, (1.0, 2, 3, 2020, 1, 0.0), strict=True)), 0.1)
    kind = model_kind("guarded", lambda: trained)
    assert isinstance(kind, GuardedKind)
    new: Any = kind.new()
    assert pickled(new.pipeline).digest() == pickled(trained).digest()
    assert new.pipeline is not trained
    assert digest("guarded") not in {digest("linear"), digest(own("drifting"))}
    with pytest.raises(SettingsError, match="checked by this software's own tests"):
        regressor_kind("guarded")


# The fingerprint


def test_linear_is_what_it_was() -> None:
    """The parameters of `linear` are its text, as in every state that was committed before."""
    assert model_kind("linear").parameters == {"parameters": repr(get_ml_pipeline())}


def digest(model: str) -> str:
    """The fingerprint's digest of a model, all else equal."""
    settings = LearningSettings(model, ModelScope.PARTITION, 10, 10, Limits())
    return fingerprint(settings, model_kind(model).parameters).digest


def test_equal_configurations_have_equal_fingerprints() -> None:
    """A restart goes on: no memory address, no counter is in it."""
    for name in ("growing_tree", "small_forest", "drifting", "two_branches", "neighbours"):
        assert digest(own(name)) == digest(own(name))
        assert " at 0x" not in str(model_kind(own(name)).parameters)


def test_a_parameter_that_no_text_shows_is_in_the_fingerprint(monkeypatch: pytest.MonkeyPatch) -> None:
    """A forest's text is `[]`, and a class of one's own may show nothing: what a new model holds counts."""
    small, large = (model_kind(own(name)).parameters for name in ("small_forest", "larger_forest"))
    assert small["new model"] != large["new model"]
    before = digest(own("drifting"))
    monkeypatch.setattr(sys.modules["shop_models"].Drifting.__init__, "__defaults__", (0.2,))
    assert digest(own("drifting")) != before


def test_the_fingerprint_is_the_same_under_every_hash_seed() -> None:
    """Sets of strings come in another order in another group's worker; the model is the same."""
    program = (
        "import sys; from consumer.model_choice import model_kind\n"
        "for model in sys.argv[1:]: print(model_kind(model).parameters)"
    )
    shown = set()
    for seed in ("1", "2", "3"):
        done = subprocess.run(
            [sys.executable, "-c", program, own("two_branches"), own("growing_tree")],
            env={**os.environ, "PYTHONHASHSEED": seed, "PYTHONPATH": str(MODELS)},
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=True,
        )
        shown.add(done.stdout)
    assert len(shown) == 1


# What a function declares


def test_declared_classes_are_admitted() -> None:
    """A pickle may name what the function declares, and no other class of the same module."""
    admitted = admitted_classes(own("drifting"))
    assert safe_loads(pickle.dumps(fresh("drifting")), admitted).rate == 0.1
    with pytest.raises(UnsafePickleError, match=r"shop_models\.Mean"):
        safe_loads(pickle.dumps(fresh("Mean")), admitted)
    with pytest.raises(UnsafePickleError, match=r"shop_models\.Drifting"):
        safe_loads(pickle.dumps(fresh("drifting")), admitted_classes("linear"))


def test_declared_infinity_is_part_of_the_meaning() -> None:
    """It decides what breaks a model, so it is in the fingerprint; where there is none, nothing is."""
    assert model_kind(own("ceiling")).parameters["infinite on purpose"] == [["ceiling", "-inf"], ["ceiling", "inf"]]
    assert regressor_kind(own("ceiling")).infinite_on_purpose == {("ceiling", "inf"), ("ceiling", "-inf")}
    assert set(model_kind(own("drifting")).parameters) == {"parameters", "new model"}
    model = model_kind(own("ceiling")).new()
    model.step(*learned(4.0))
    assert model.events_learned == 1


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("declaring_text", "expected a tuple of classes of your own as its function's pickled_classes; found 'Mean'"),
        ("declaring_a_number", "pickled_classes: expected classes and functions that pickles may name; found 3"),
        ("declaring_a_way_in", "builtins.eval may not be admitted"),
    ],
)
def test_what_may_not_be_declared(name: str, text: str) -> None:
    """A declaration that makes no sense, or opens a door, stops the start."""
    with pytest.raises(SettingsError) as caught:
        admitted_classes(own(name))
    assert text in str(caught.value)
    assert str(caught.value).startswith(f"MODEL={own(name)!r}: ")


# Refusals


@pytest.mark.parametrize(
    ("model", "text"),
    [
        ("guarded ", "expected guarded, linear, or module:function"),
        ("nowhere:forest", "there is no module nowhere; install it beside smart-inventory, or add its directory to"),
        ("shop_models.deeper:forest", "there is no module shop_models.deeper"),
        ("needy_module:forest", "importing needy_module raised ModuleNotFoundError: No module named 'no_such_package"),
        ("broken_module:forest", "importing broken_module raised RuntimeError: the weights are not there"),
        (own("jungle"), "expected a function of shop_models that returns a new, untrained regressor with predict_one"),
        (own("jungle"), "it has no jungle"),
        (own("NUMBER"), "NUMBER is a int"),
        (own("no_function"), "no_function is a NoneType"),
        (own("raising"), "it raised RuntimeError: no licence"),
        (own("with_a_parameter"), "it raised TypeError: with_a_parameter() missing 1 required positional argument"),
        (own("nothing"), "it returned a NoneType"),
        (own("its_class"), "it returned the class Mean itself"),
        (own("same_each_time"), "it returned the same one twice"),
        (own("seedless_forest"), "expected equal regressors from two calls; they differ"),
        (own("Unpicklable"), "expected a regressor that can be pickled"),
    ],
)
def test_refusals_say_what_to_do(model: str, text: str) -> None:
    """Each names MODEL, what was expected, what came, and the way on."""
    with pytest.raises(SettingsError) as caught:
        model_kind(model)
    assert text in str(caught.value)
    assert str(caught.value).startswith(f"MODEL={model!r}: ")


# On trial


def test_a_good_model_passes_its_trial() -> None:
    """Checks here, and processes with other hash seeds: all passed."""
    findings = try_model(own("growing_tree"))
    assert [finding for finding in findings if finding.severity.value != "passed"] == []
    assert findings[-1].check == "does not depend on the hash seed"


def test_dependence_on_the_hash_seed_is_a_warning() -> None:
    """Found by comparing processes, and admitted: a worker runs under a fixed seed."""
    finding = try_model(own("two_branches"))[-1]
    assert finding.severity.value == "warning"
    assert "under PYTHONHASHSEED=" in finding.sentence


def test_a_faulty_model_needs_no_other_process() -> None:
    """The faults are told, and no comparison that would fail for the same reason."""
    findings = try_model(own("Exploding"))
    assert {fault.check for fault in faults_of(findings)} == {
        "is admitted by the safe unpickler",
        "keeps its numbers finite",
    }
    assert "hash seed" not in findings[-1].check


class Group:
    """What a group has committed, by partition; a RetryError where the broker cannot say."""

    def __init__(self, *committed: object) -> None:
        self.committed_by_partition = committed

    def committed(self, partition: int, timeout: float) -> object:
        """Answer as a connection does."""
        assert timeout > 0
        answer = self.committed_by_partition[partition]
        if isinstance(answer, RetryError):
            raise answer
        return answer


class Log:
    """Takes note of log lines."""

    def __init__(self) -> None:
        self.lines: list[tuple[str, dict[str, Any]]] = []

    def warning(self, event: str, **fields: Any) -> None:
        self.lines.append((event, fields))

    info = warning


def tried(model: str, *committed: object) -> list[tuple[str, dict[str, Any]]]:
    """Start as the worker does, and return what it logs."""
    log, group = Log(), Group(*committed)
    try_before_first_event(model, group, len(committed), log, lambda: None)  # type: ignore[arg-type]  # what it uses
    return log.lines


@pytest.mark.parametrize("committed", [(None, None), (None, RetryError("no answer"))])
def test_a_faulty_model_does_not_begin(committed: tuple[object, ...]) -> None:
    """Where the group has committed nothing, as far as is known, faults stop the start, each in the sentence."""
    with pytest.raises(ModelError) as caught:
        tried(own("Exploding"), *committed)
    assert str(caught.value).startswith(f"MODEL={own('Exploding')!r} fails 2 of 12 checks. is admitted by the safe")
    assert "keeps its numbers finite: expected finite numbers" in str(caught.value)


def test_a_model_that_has_begun_is_not_tried_again() -> None:
    """Restarts cost no trial; neither does a model of River's."""
    assert tried(own("Exploding"), None, object()) == []
    assert tried("linear", None, None) == []


def test_warnings_are_logged(monkeypatch: pytest.MonkeyPatch) -> None:
    """A model that may start with a warning does, and the log has the warning."""
    findings = [
        Finding("hides no numbers", Severity.WARNING, "expected numbers"),
        Finding("size", Severity.PASSED, "44 bytes"),
    ]
    monkeypatch.setattr(model_trial, "try_model", lambda _model, _beat: findings)
    assert tried(own("drifting"), None) == [
        ("model_warning", {"check": "hides no numbers", "reason": "expected numbers"}),
        ("model_checked", {"model": own("drifting"), "checks": 2}),
    ]


def test_the_watchdog_hears_of_each_check() -> None:
    """A trial takes its time, each check and each process to compare with a part of it."""
    beats: list[None] = []
    findings = try_model(own("drifting"), lambda: beats.append(None))
    assert len(beats) >= len(findings)


def test_a_process_that_cannot_be_compared_with(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where another process fails, that is said, and is no fault of the model's."""
    monkeypatch.setattr(model_trial, "_PROGRAM", "raise SystemExit(3)")
    finding = try_model(own("drifting"))[-1]
    assert finding.severity is Severity.WARNING
    assert "it ended with 3" in finding.sentence


# The command


def command(*arguments: str, **variables: str) -> tuple[int, str, str]:
    """Run `smart-inventory check-model`; return its exit code, output and errors, blanks and rules taken out."""
    environment = {"MODEL": "", "KAFKA_BOOTSTRAP_SERVERS": ""} | variables
    with mock.patch.object(terminal.output, "_width", 200):
        done = CliRunner().invoke(app, ["check-model", *arguments], env=environment)
    return done.exit_code, " ".join(done.stdout.replace("│", " ").split()), done.stderr


@pytest.fixture
def _no_other_processes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(model_trial, "_SEEDS", ())


@pytest.mark.usefixtures("_no_other_processes")
def test_the_command_shows_every_check() -> None:
    """A table of checks, and 0 where no fault was found; it needs no broker."""
    code, shown, _ = command(own("neighbours"))
    assert code == ExitCode.OK
    assert f"MODEL={own('neighbours')}" in shown
    for name, _, _ in _CHECKS:
        assert f"{name} passed" in shown


@pytest.mark.usefixtures("_no_other_processes")
def test_the_command_takes_the_setting() -> None:
    """Without an argument it checks MODEL, as the worker would run it."""
    code, shown, _ = command(MODEL=own("drifting"))
    assert (code, f"MODEL={own('drifting')}" in shown) == (ExitCode.OK, True)
    code, _, errors = command()
    assert (code, "MODEL='guarded' is checked by this software's own tests" in errors) == (ExitCode.USAGE, True)


@pytest.mark.usefixtures("_no_other_processes")
def test_the_command_tells_a_fault() -> None:
    """A fault has a code of its own, and its sentence stands in the table."""
    code, shown, _ = command(own("Silent"))
    assert code == ExitCode.MODEL
    assert "fault" in shown
    assert "expected a number from predict_one before the first learn_one; None came" in shown


def test_the_command_refuses_what_is_no_model() -> None:
    """One sentence and the code of a bad setting."""
    code, _, errors = command("nowhere:forest")
    assert code == ExitCode.USAGE
    assert errors.startswith("smart-inventory: MODEL='nowhere:forest': there is no module nowhere")
    assert errors.count("\n") == 1
