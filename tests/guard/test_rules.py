"""Rules fire exactly where their definitions say, and the verdict of a step depends on nothing after it."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qae import metrics
from qae.guard.history import StepRecord, step_record
from qae.guard.judge import Judge, Verdict, replay
from qae.guard.settings import Action, Watch, watches
from tests.guard.histories import SECTION, history, only

ALL = watches(SECTION)
_small = st.floats(0.01, 5)
_records = st.lists(
    st.fixed_dictionaries(
        {
            metrics.ENTROPY.name: st.one_of(_small, st.none()),
            metrics.ADVANTAGE_TOKEN_MEAN.name: st.floats(-0.2, 0.2),
            metrics.CLIP_DRIFT.name: st.one_of(st.floats(-0.02, 0.02), st.none()),
            metrics.ZERO_FRACTION.name: st.sampled_from([0.0, 0.5, 1.0]),
            metrics.GRAD_NORM.name: st.one_of(st.floats(0, 20), st.none()),
        },
    ),
    max_size=25,
).map(lambda rows: [step_record(step, row) for step, row in enumerate(rows, 1)])


def fired(watching: tuple[Watch, ...], steps: list[StepRecord]) -> list[tuple[str, int, int]]:
    """Rule, first step of the evidence and last, of every verdict."""
    found = [verdict.finding for verdict in replay(watching, steps, 1000)]
    return [(finding.rule, finding.first_step, finding.step) for finding in found]


@given(entropy=_small, steps=st.integers(0, 60))
def test_a_flat_history_never_fires(entropy: float, steps: int) -> None:
    flat = history(
        [entropy] * steps,
        advantage=[-0.1] * steps,
        clip_drift=[0.02] * steps,
        zero=[0.8] * steps,
        grad_norm=[1.0] * steps,
    )
    assert fired(ALL, flat) == []


@pytest.mark.slow
@given(records=_records, total=st.integers(1, 30))
def test_the_verdicts_of_a_prefix_are_the_prefix_of_the_verdicts(records: list[StepRecord], total: int) -> None:
    whole = replay(ALL, records, total)
    for end in range(len(records) + 1):
        assert replay(ALL, records[:end], total) == [v for v in whole if v.finding.step <= end]


@pytest.mark.slow
@given(records=_records, cut=st.integers(0, 25), back=st.integers(0, 5))
def test_a_continued_run_is_judged_as_one_that_was_never_interrupted(
    records: list[StepRecord], cut: int, back: int
) -> None:
    """The second process reads the steps from disk, some of which it makes again, and what the first one decided."""
    watching = watches({name: {**section, "action": "warn"} for name, section in SECTION.items()})
    before, again = records[:cut], records[max(0, cut - back) :]
    first = [verdict for judge in [Judge(watching, 100)] for record in before for verdict in judge.take(record)]
    second = Judge(watching, 100, history=before, decided=[verdict.finding.rule for verdict in first])
    both = [*first, *(verdict for record in again for verdict in second.take(record))]
    assert both == replay(watching, records, 100)


@pytest.mark.slow
@given(records=_records)
def test_explosion_fires_where_its_definition_says(records: list[StepRecord]) -> None:
    rule = only("explosion")[0].rule
    name = metrics.ENTROPY.name
    expected = False
    if len(records) >= 3:
        first, window = records[:2], records[-3:]
        start = sum(record.values[name] for record in first) / 2
        expected = all(record.values[name] > 1.5 * start for record in window)
    assert (rule.judge(records) is not None) == expected


RISING = [1.0, 1.0, 1.2, 1.6, 1.7, 1.8, 1.9]


def test_explosion_names_its_window_and_its_numbers() -> None:
    (verdict,) = replay(only("explosion"), history(RISING), 100)
    finding = verdict.finding
    assert (finding.first_step, finding.step) == (4, 6)
    for number in ("1.80", "1.00"):
        assert number in finding.sentence
    assert finding.evidence["entropy_lowest"] == 1.6


@pytest.mark.parametrize(
    ("changes", "last"),
    [({}, 6), ({"ratio": 9.0}, None), ({"steps": 4}, 7), ({"ratio": 1.75}, None), ({"ratio": 1.65}, 7)],
)
def test_explosion_wants_every_step_of_its_window_above_the_level(changes: dict[str, object], last: int | None) -> None:
    found = fired(only("explosion", **changes), history(RISING))
    assert [step for _, _, step in found] == ([] if last is None else [last])


PUSHED, NOT_PUSHED = [-0.1] * 7, [0.1] * 7


@pytest.mark.parametrize(
    ("advantage", "clip_drift", "changes", "last"),
    [
        (PUSHED, None, {}, 4),  # below the level of an explosion
        (None, [0.02] * 7, {}, 4),
        (PUSHED, [-0.02] * 7, {}, 4),
        (NOT_PUSHED, [0.001] * 7, {}, None),  # entropy is up without its cause
        ([0.1] * 4 + [-0.1] * 3, None, {}, 6),
        (PUSHED, None, {"advantage": None}, None),
        (PUSHED, None, {"ratio": 1.75}, 7),
        (None, None, {}, None),
    ],
)
def test_drift_wants_entropy_above_its_start_and_one_cause(
    advantage: list[float] | None, clip_drift: list[float] | None, changes: dict[str, object], last: int | None
) -> None:
    found = fired(only("drift", **changes), history(RISING, advantage=advantage, clip_drift=clip_drift))
    assert [step for _, _, step in found] == ([] if last is None else [last])


def test_drift_names_the_cause() -> None:
    (verdict,) = replay(only("drift"), history(RISING, advantage=PUSHED), 100)
    assert "-0.100" in verdict.finding.sentence
    assert verdict.finding.evidence["advantage_highest"] == -0.1
    assert "clip_drift" not in verdict.finding.evidence


def test_dead_learning_counts_steps_in_a_row() -> None:
    assert fired(only("dead_learning"), history([1.0] * 5, zero=[1.0, 0.99, 1.0, 1.0, 1.0])) == [
        ("dead_learning", 3, 4)
    ]
    assert fired(only("dead_learning"), history([1.0] * 5, zero=[1.0, 0.99] * 2 + [1.0])) == []
    assert fired(only("dead_learning"), history([1.0] * 5)) == []


@pytest.mark.parametrize(
    ("norms", "expected"),
    [
        ([1.0, 11.0, 12.0, 1.0], []),
        ([1.0, None, 1.0], [("divergence", 2, 2)]),  # JSON has null for a number that is not finite
        ([1.0, math.inf, 1.0], [("divergence", 2, 2)]),
    ],
)
def test_divergence(norms: list[float | None], expected: list[tuple[str, int, int]]) -> None:
    assert fired(only("divergence"), history([1.0] * len(norms), grad_norm=norms)) == expected


def test_the_first_end_ends_the_replay_and_other_actions_do_not() -> None:
    steps = history(RISING, zero=[0.5, 0.5, *[1.0] * 5])
    assert [rule for rule, _, _ in fired(ALL, steps)] == ["dead_learning"]
    warned = watches({**SECTION, "dead_learning": {"action": "warn", "steps": 2}})
    assert [rule for rule, _, _ in fired(warned, steps)] == ["dead_learning", "explosion"]


def test_the_last_step_ends_a_run_by_itself() -> None:
    def verdicts(total: int) -> list[Verdict]:
        return replay(only("dead_learning"), history([1.0] * 3, zero=[0.0, 1.0, 1.0]), total)

    assert [verdict.action for verdict in verdicts(4)] == [Action.STOP]
    assert [verdict.action for verdict in verdicts(3)] == [Action.TAG]
