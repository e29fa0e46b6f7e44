"""What a guard section may hold, a sentence for what it may not, and decisions on disk."""

from pathlib import Path

import pytest

from qae.errors import ConfigError
from qae.guard import decisions
from qae.guard.decisions import Decision
from qae.guard.rules import DeadLearning, Explosion
from qae.guard.settings import Action, watches
from qae.run_directory import RunDirectory
from tests.guard.histories import SECTION


def test_no_guard_watches_nothing() -> None:
    assert watches(None) == watches({}) == watches({"explosion": None}) == ()


def test_a_section_a_rule() -> None:
    found = watches(
        {
            "dead_learning": {"action": "fork", "fork_k": 0.4, "steps": 4.0},
            "explosion": {"action": "warn", "steps": 2, "start_steps": 1, "ratio": 1.2},
        }
    )
    assert [(watch.action, watch.fork_k) for watch in found] == [(Action.WARN, None), (Action.FORK, 0.4)]
    assert [watch.rule for watch in found] == [Explosion(2, 1, 1.2), DeadLearning(4)]


@pytest.mark.parametrize(
    ("section", "message"),
    [
        ("entropy", "guard='entropy' cannot be used: choose guard=none or guard=entropy, or give a section"),
        ({"explosions": {}}, "guard.explosions={} cannot be used: the rules are explosion, drift, dead_learning"),
        ({"explosion": True}, "guard.explosion=True cannot be used: give null to switch it off, or the keys action"),
        ({"dead_learning": {"step": 2}}, "guard.dead_learning.step=2 cannot be used: the keys are action, fork_k"),
        ({"dead_learning": {"steps": 2}}, "guard.dead_learning.action=None cannot be used: choose one of warn, tag"),
        (
            {"dead_learning": {"action": "kill", "steps": 2}},
            "guard.dead_learning.action='kill' cannot be used: choose one of warn, tag, stop, fork",
        ),
        ({"dead_learning": {"action": "stop"}}, "guard.dead_learning.steps=None cannot be used: give a whole number"),
        ({"dead_learning": {"action": "stop", "steps": 2.5}}, "guard.dead_learning.steps=2.5 cannot be used"),
        ({"dead_learning": {"action": "stop", "steps": True}}, "guard.dead_learning.steps=True cannot be used"),
        (
            {"dead_learning": {"action": "fork", "steps": 2}},
            "guard.dead_learning.fork_k=None cannot be used: give K of the run that goes on, between 0 and 1",
        ),
        ({"explosion": {**SECTION["explosion"], "ratio": 0}}, "guard.explosion.ratio=0 cannot be used"),
        (
            {"drift": {**SECTION["drift"], "advantage": 0.1}},
            "guard.drift.advantage=0.1 cannot be used: give a number below",
        ),
        ({"explosion": {**SECTION["explosion"], "start_steps": 0}}, "guard.explosion.start_steps=0 cannot be used"),
    ],
)
def test_a_wrong_value_is_one_sentence(section: object, message: str) -> None:
    with pytest.raises(ConfigError) as error:
        watches(section)
    assert str(error.value).startswith(message)
    assert "\n" not in str(error.value)


def test_decisions_are_read_back_and_the_last_of_a_rule_counts(tmp_path: Path) -> None:
    directory = RunDirectory(tmp_path)
    assert decisions.read(directory) == {}
    warned = Decision(3, "dead_learning", Action.WARN, 2, "nothing is learnt", {"zero_fraction": 1.0}, 1.5)
    stopped = Decision(5, "explosion", Action.FORK, 4, "entropy is high", {}, 2.5, "abc", 2, 0.4)
    for decision in (warned, stopped):
        decisions.append(directory, decision)
    found = decisions.read(directory)
    assert found == {"dead_learning": warned, "explosion": stopped}
    assert decisions.ending(found) == stopped
    assert str(warned) == "guard: dead_learning at step 3: nothing is learnt"
    with directory.guard.open("ab") as file:
        file.write(directory.guard.read_bytes().splitlines()[0].replace(b'"dead_learning"', b'["no", "rule"]') + b"\n")
        file.write(b'{"step": 6, "rule": "divergence"}\n{"step": 7, "rule": "diver')
    assert decisions.read(directory) == found
    overruled = Decision(5, "explosion", Action.FORK, 4, "entropy is high", {}, 3.5, overruled=True)
    decisions.append(directory, overruled)
    assert decisions.read(directory) == {"dead_learning": warned, "explosion": overruled}
    assert decisions.ending(decisions.read(directory)) is None
