"""What runs say of a claim: judged by an interval, in numbers that do not hide it, and why a claim does not appear."""

from dataclasses import replace

import pandas as pd
import pytest

from analysis.comparison import Measure
from analysis.figures import paper
from analysis.figures.paper import explanations
from analysis.figures.paper import findings as judge
from analysis.figures.paper.findings import Verdict
from analysis.figures.paper.selection import Arm, Needs, select
from analysis.runs.frames import ArmName, Runs

pytestmark = pytest.mark.slow

MEAN, K4 = Arm(), Arm(0.4)
SEEDS = range(10)


@pytest.fixture
def both(paper_runs: Runs) -> Runs:
    """Runs of the two arms, under the paper's names."""
    return select(paper_runs, Needs("fig5", (MEAN, K4))).runs


def measure(difference: float, spread: float) -> Measure:
    """A share that K = 0.4 has more of by so much, give or take the spread."""

    def table(_: Runs, arm: ArmName) -> pd.DataFrame:
        more = [difference + spread * (-1) ** seed for seed in SEEDS] if arm == K4.name else [0.0] * len(SEEDS)
        return pd.DataFrame({"value": [0.3 + value for value in more]}, index=list(SEEDS))

    return Measure("share", 3, table)


@pytest.mark.parametrize(
    ("difference", "spread", "verdict"),
    [
        (0.0, 0.01, Verdict.SHOWN),
        (0.02, 0.001, Verdict.SHOWN),  # told apart from zero, and alike all the same
        (0.04, 0.05, Verdict.OPEN),
        (0.0, 0.2, Verdict.OPEN),
        (0.09, 0.01, Verdict.OPPOSITE),
        (-0.09, 0.01, Verdict.OPPOSITE),
    ],
)
def test_likeness_is_judged_by_a_test_of_equivalence(
    both: Runs, difference: float, spread: float, verdict: Verdict
) -> None:
    assert judge.alike("a claim", both, K4, MEAN, measure(difference, spread)).verdict is verdict


def test_a_small_difference_is_not_written_as_zero(both: Runs) -> None:
    told_apart = judge.higher("a claim", both, K4, MEAN, measure(0.00004, 0.00001))
    assert told_apart.verdict is Verdict.SHOWN
    assert "+0.00004 [+0.00003, +0.00005]" in told_apart.numbers
    assert "+0.020 [" in judge.higher("a claim", both, K4, MEAN, measure(0.02, 0.001)).numbers
    assert "+0.000 [-" in judge.higher("a claim", both, K4, MEAN, measure(0.00004, 0.01)).numbers


def test_every_reason_is_of_a_claim_that_a_figure_judges(paper_runs: Runs) -> None:
    claims = {of.claim for name in paper.names() for of in paper.prepare(name, paper_runs).findings}
    assert set(explanations.TABULAR) <= claims


def test_a_reason_is_said_of_runs_of_the_tabular_policy_only(paper_runs: Runs) -> None:
    claim = next(iter(explanations.TABULAR))
    records = paper_runs.records
    assert explanations.of(claim, records) == explanations.TABULAR[claim]
    assert explanations.of("another claim", records) == ""
    other = replace(records[0], config={**records[0].config, "labels.model": "qwen3-8b-base"})
    assert explanations.of(claim, (*records, other)) == ""
    assert explanations.of(claim, ()) == ""
    open_finding = judge.Finding(claim, Verdict.OPEN, "+0.1, 1 seed")
    assert str(open_finding.explained(records)) == f"{claim}: not shown (+0.1, 1 seed: {explanations.TABULAR[claim]})"
    for verdict in (Verdict.SHOWN, Verdict.UNKNOWN):
        assert judge.Finding(claim, verdict, "").explained(records).reason == ""
