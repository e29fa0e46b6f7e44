"""`qae guard replay` on recorded runs."""

from pathlib import Path

import pytest
from click.testing import CliRunner

from analysis.guard.commands import guard
from qae import metrics
from qae.run_directory import JsonlWriter, RunDirectory
from tests.analysis.stores import write_run

# Entropy and pass@1 of six steps: pass@1 at the steps 1 and 6.
RUNS = {
    "bad": ([1.0, 1.0, 1.5, 1.6, 1.7, 1.8], (0.3, 0.9)),
    "good": ([1.0, 1.0, 1.5, 1.6, 0.9, 0.8], (0.3, 0.9)),
    "calm": ([1.0, 1.0, 1.0, 1.0, 1.0, 1.0], (0.3, 0.25)),
    "learns": ([1.0, 1.0, 0.9, 0.8, 0.7, 0.6], (0.3, 0.8)),
}
THRESHOLDS = """
guard:
  explosion: {action: warn, steps: 2, start_steps: 2, ratio: 1.2}
  dead_learning: null
"""


@pytest.fixture
def runs(tmp_path: Path) -> Path:
    for seed, (name, (entropy, accuracy)) in enumerate(RUNS.items()):
        directory = write_run(tmp_path / "runs", name, {"seed": seed})
        rewrite(directory, entropy, accuracy)
    (tmp_path / "settings.yaml").write_text(THRESHOLDS)
    return tmp_path / "runs"


def rewrite(directory: RunDirectory, entropy: list[float], accuracy: tuple[float, float]) -> None:
    directory.metrics.unlink()
    with JsonlWriter(directory.metrics) as lines:
        for step, value in enumerate(entropy, 1):
            evaluated = {metrics.pass_at(1).name: accuracy[step > 1]} if step in (1, 6) else {}
            lines.append(
                {"step": step, "time": 0.0, metrics.ENTROPY.name: value, metrics.STEP_TIME.name: 360.0, **evaluated}
            )


def replayed(runs: Path, *arguments: str) -> tuple[int, str]:
    settings = ("--settings", str(runs.parent / "settings.yaml"))
    result = CliRunner().invoke(guard, ["replay", str(runs), "--root", str(runs), *settings, *arguments])
    return result.exit_code, result.output


def test_a_replay_says_what_would_have_been_saved_and_lost(runs: Path) -> None:
    code, output = replayed(runs)
    assert code == 0, output
    table, sums = output.split("\n\n")
    cells = {line.split()[0]: line for line in table.splitlines()[1:]}
    assert cells["bad"].endswith("explosion  4     0.300 → 0.900  1.52         true stop   2")
    assert cells["good"].endswith("explosion  4     0.300 → 0.900  1.16         false stop  2")
    assert cells["calm"].endswith("0.300 → 0.250  1.00         missed")
    assert cells["learns"].endswith("0.300 → 0.800  0.80         kept")
    saved = "True stops save 2 of 24 steps (8%), 0.2 hours on CPUs"
    good = "entropy at most 1.3 times its start and pass@1 at least 0.1 above its first evaluation"
    assert sums.splitlines() == [
        f"n = 4 runs. A good run ends with {good}.",
        "True stops: 1 of 2 bad runs. False stops: 1 of 2 good runs.",
        f"{saved}; false stops lose 2 of 24 steps (8%), 0.2 hours on CPUs.",
    ]


@pytest.mark.slow
def test_thresholds_can_be_changed(runs: Path) -> None:
    _, output = replayed(runs, "--set", "explosion.ratio=1.55")
    assert "explosion  5 " in output
    _, output = replayed(runs, "--set", "explosion.ratio=9", "--good-gain=-0.1", "--bad-entropy=2")
    assert "True stops: 0 of 0 bad runs. False stops: 0 of 4 good runs." in output
    _, output = replayed(runs, "--markdown")
    assert output.startswith("| run | arm | seed | status |")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--set", "explosion.ratio=high"], "guard.explosion.ratio='high' cannot be used: give a number above 0"),
        (["--set", "explode.ratio=2"], "--set explode.ratio=2 cannot be used: write RULE.KEY=VALUE, with one of"),
        (["--set", "explosion=null"], "no rule is on"),
        (["--settings", "config.yaml"], "does not exist"),
    ],
)
def test_a_mistake_is_one_sentence(runs: Path, arguments: list[str], message: str) -> None:
    code, output = replayed(runs, *arguments)
    assert code == 2
    assert message in output


def test_the_default_thresholds_are_those_of_the_sweep(runs: Path) -> None:
    result = CliRunner().invoke(guard, ["replay", str(runs), "--root", str(runs)])
    assert result.exit_code == 0, result.output
    assert "n = 4 runs." in result.output
