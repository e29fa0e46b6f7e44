"""A launch over `sweep.confirm_above` GPU hours is asked about, and refused where nobody can be asked."""

import io
import os
import pty

import pytest
from rich.console import Console

from qae.errors import ConfigError
from sweeps.launching.confirm import Confirmation
from sweeps.launching.plan import Job, Plan, make_plan
from sweeps.run_store.store import RunStore
from tests.support.configs import verl_mapping


@pytest.fixture(scope="module")
def plan(tmp_path_factory: pytest.TempPathFactory) -> Plan:
    config = verl_mapping("sweep.dry_run=true")
    return make_plan([Job((), config)], RunStore(tmp_path_factory.mktemp("runs")), name="one", retry=False)


def hours(plan: Plan) -> float:
    return sum(run.gpu_hours or 0.0 for run in plan.runs)


def test_a_plan_below_the_limit_is_not_asked_about(plan: Plan) -> None:
    assert hours(plan) > 100
    for sweep in ({"confirm_above": None}, {"confirm_above": hours(plan) + 1}, {"confirm_above": 1, "confirm": True}):
        assert Confirmation.of(sweep).holds(plan, Console(file=io.StringIO()))


def test_without_a_terminal_it_is_refused_in_a_sentence(plan: Plan) -> None:
    with pytest.raises(ConfigError, match=r"GPU hours are over sweep.confirm_above=100 and there is no terminal"):
        Confirmation.of({"confirm_above": 100, "confirm": "ask"}).holds(plan, Console(file=io.StringIO()))


@pytest.mark.parametrize(("typed", "goes_on"), [("y\n", True), ("yes\n", True), ("\n", False), ("n\n", False)])
def test_on_a_terminal_it_asks(plan: Plan, monkeypatch: pytest.MonkeyPatch, typed: str, *, goes_on: bool) -> None:
    keyboard, terminal = pty.openpty()
    with os.fdopen(terminal, "r+b", buffering=0) as raw, io.TextIOWrapper(raw) as stdin:
        monkeypatch.setattr("sys.stdin", stdin)
        os.write(keyboard, typed.encode())
        shown = io.StringIO()
        console = Console(file=shown, force_terminal=True)
        assert Confirmation.of({"confirm_above": 100}).holds(plan, console) is goes_on
    os.close(keyboard)
    assert "GPU hours are over sweep.confirm_above=100. Launch? [y/N]" in shown.getvalue()


@pytest.mark.parametrize(
    ("sweep", "named"),
    [
        ({"confirm_above": "lots"}, "sweep.confirm_above='lots'"),
        ({"confirm_above": -1}, "sweep.confirm_above=-1"),
        ({"confirm": "no"}, "sweep.confirm='no'"),
        ({"confirm": False}, "sweep.confirm=False"),
    ],
)
def test_a_wrong_value_is_named(sweep: dict[str, object], named: str) -> None:
    with pytest.raises(ConfigError, match=named):
        Confirmation.of(sweep)
