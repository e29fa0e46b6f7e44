"""Training is deterministic, survives kills, writes what it promises and learns."""

import shutil
import subprocess
from pathlib import Path

import pytest

from qae import metrics
from qae.controller import EntropyBand
from qae.files import tensor_files
from qae.files.json_lines import read_jsonl
from qae.run_directory import RunDirectory, read_evaluations, read_metrics
from qae.tiny.config import TinyConfig
from qae.tiny.train import train
from tests.support import processes
from tests.support.configs import TINY_FORM, TINY_QUICK, tiny_mapping

pytestmark = [pytest.mark.slow, pytest.mark.long]

# What the clock decides; everything else must be equal bit for bit.
CLOCK = {"time", *(name for name in metrics.METRICS if name.startswith(("timing_s/", "perf/")))}

RUN = """
import sys
from pathlib import Path
import torch
from qae.run_directory import RunDirectory
from qae.tiny.config import TinyConfig
from qae.tiny.train import train
from tests.support.configs import tiny_mapping
torch.set_num_threads(1)
train(TinyConfig.from_mapping(tiny_mapping(*sys.argv[3:])), RunDirectory(Path(sys.argv[1])), cache=Path(sys.argv[2]),
      on_step=lambda step, values: print(step, flush=True), should_stop=lambda: False)
"""


def run(path: Path, cache: Path, *overrides: str, stop_after: int | None = None) -> int:
    steps: list[int] = []
    return train(
        TinyConfig.from_mapping(tiny_mapping(*TINY_QUICK, *overrides)),
        RunDirectory(path),
        cache=cache,
        on_step=lambda step, _: steps.append(step),
        should_stop=lambda: stop_after is not None and steps[-1] >= stop_after,
    )


def start(path: Path, cache: Path, *overrides: str) -> subprocess.Popen[str]:
    return processes.python("-c", RUN, str(path), str(cache), *TINY_QUICK, *overrides, OMP_WAIT_POLICY="PASSIVE")


def numbers(path: Path) -> tuple[list[dict[str, object]], list[dict[str, object]], list[dict[str, object]]]:
    directory = RunDirectory(path)
    lines = [{k: v for k, v in line.items() if k not in CLOCK} for line in read_metrics(directory).records]
    tokens = {int(number(line, "step")): line for line in read_jsonl(directory.tokens).records}
    return lines, read_evaluations(directory).records, [tokens[step] for step in sorted(tokens)]


def number(line: dict[str, object], name: str) -> float:
    value = line[name]
    assert isinstance(value, int | float)
    return value


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory: pytest.TempPathFactory, cache: Path) -> Path:
    path = tmp_path_factory.mktemp("runs") / "uninterrupted"
    assert run(path, cache, "algorithm.quantile_k=0.4") == 6
    return path


def test_a_run_writes_every_step_evaluation_and_token_line(uninterrupted: Path) -> None:
    lines, evaluations, tokens = numbers(uninterrupted)
    assert [line["step"] for line in lines] == list(range(7))
    assert {line["step"] for line in evaluations} == {0, 2, 4, 6}
    assert {(line["n"], line["data_set"]) for line in evaluations} == {(16, "chain1"), (16, "chain2")}
    assert [line["step"] for line in tokens] == list(range(1, 7))
    for line in lines[1:]:
        assert line[metrics.GLOBAL_STEP.name] == line["step"]
        unknown = {name for name in line if name not in metrics.METRICS and not name.startswith("val/")} - {"step"}
        assert not unknown
        signs = (metrics.ZERO_FRACTION, metrics.POSITIVE_FRACTION, metrics.NEGATIVE_FRACTION)
        assert sum(number(line, sign.name) for sign in signs) == pytest.approx(1)


def test_evaluation_summary_comes_from_the_counts(uninterrupted: Path) -> None:
    lines, evaluations, _ = numbers(uninterrupted)
    for step in (0, 2, 4, 6):
        rates = [number(e, "c") / number(e, "n") for e in evaluations if e["step"] == step]
        assert lines[step][metrics.pass_at(1).name] == pytest.approx(sum(rates) / len(rates))


def test_the_same_run_side_by_side_in_other_processes_is_equal_bit_for_bit(
    uninterrupted: Path, cache: Path, tmp_path: Path
) -> None:
    together = [start(tmp_path / str(i), cache, "algorithm.quantile_k=0.4") for i in range(3)]
    assert [process.wait(timeout=300) for process in together] == [0, 0, 0]
    for i in range(3):
        assert numbers(tmp_path / str(i)) == numbers(uninterrupted)


def test_another_seed_differs(uninterrupted: Path, cache: Path, tmp_path: Path) -> None:
    run(tmp_path / "other", cache, "algorithm.quantile_k=0.4", "seed=1")
    assert numbers(tmp_path / "other")[0][1:] != numbers(uninterrupted)[0][1:]


@pytest.mark.parametrize("stop_after", [0, 1, 3, 5])
def test_a_stopped_run_continues_as_if_it_had_not_been(
    uninterrupted: Path, cache: Path, tmp_path: Path, stop_after: int
) -> None:
    assert run(tmp_path / "r", cache, "algorithm.quantile_k=0.4", stop_after=stop_after) == stop_after
    assert run(tmp_path / "r", cache, "algorithm.quantile_k=0.4") == 6
    assert numbers(tmp_path / "r") == numbers(uninterrupted)
    steps = [number(line, "step") for line in read_jsonl(RunDirectory(tmp_path / "r").metrics).records]
    assert steps == sorted(steps)


@pytest.mark.parametrize("kill_at", ["1", "3", "4"])
def test_a_run_killed_by_sigkill_continues_as_if_it_had_not_been(
    uninterrupted: Path, cache: Path, tmp_path: Path, kill_at: str
) -> None:
    process = start(tmp_path / "r", cache, "algorithm.quantile_k=0.4")
    processes.kill_after(process, kill_at)
    with RunDirectory(tmp_path / "r").metrics.open("ab") as file:
        file.write(b'{"step": 99, "torn')  # what a kill in the middle of a write leaves behind
    assert run(tmp_path / "r", cache, "algorithm.quantile_k=0.4") == 6
    assert numbers(tmp_path / "r") == numbers(uninterrupted)


def test_an_unreadable_newest_checkpoint_falls_back_to_the_one_before(
    uninterrupted: Path, cache: Path, tmp_path: Path
) -> None:
    run(tmp_path / "r", cache, "algorithm.quantile_k=0.4", stop_after=4)
    newest = max((tmp_path / "r" / "checkpoints").glob("*.pt"))
    newest.write_bytes(newest.read_bytes()[:1000])
    assert run(tmp_path / "r", cache, "algorithm.quantile_k=0.4") == 6
    assert numbers(tmp_path / "r") == numbers(uninterrupted)


def test_workers_that_start_together_make_one_pretrained_start(tmp_path: Path) -> None:
    processes = [start(tmp_path / str(i), tmp_path / "cache", "trainer.total_training_steps=1") for i in range(3)]
    assert [process.wait(timeout=300) for process in processes] == [0, 0, 0]
    assert len(list((tmp_path / "cache").glob("*.pt"))) == 1
    assert numbers(tmp_path / "0") == numbers(tmp_path / "1") == numbers(tmp_path / "2")


def test_a_damaged_pretrained_start_is_trained_anew(uninterrupted: Path, cache: Path, tmp_path: Path) -> None:
    own = tmp_path / "cache"
    shutil.copytree(cache, own)
    (start_file,) = own.glob("*.pt")
    content = start_file.read_bytes()
    middle = len(content) // 2
    start_file.write_bytes(content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :])
    run(tmp_path / "r", own, "algorithm.quantile_k=0.4")
    assert numbers(tmp_path / "r") == numbers(uninterrupted)
    assert tensor_files.flaw(start_file) is None


def test_a_finished_run_is_left_alone(uninterrupted: Path, cache: Path) -> None:
    def files() -> dict[Path, tuple[bytes, int]]:
        return {p: (p.read_bytes(), p.stat().st_mtime_ns) for p in uninterrupted.rglob("*") if p.is_file()}

    before = files()
    assert run(uninterrupted, cache, "algorithm.quantile_k=0.4") == 6
    assert files() == before


def test_random_rewards_are_random_and_the_evaluation_is_not(cache: Path, tmp_path: Path) -> None:
    run(tmp_path / "r", cache, "data.reward_noise.random=0.3", "trainer.total_training_steps=4")
    lines, _, _ = numbers(tmp_path / "r")
    scores = [number(line, metrics.SCORE_GENERATED_MEAN.name) for line in lines[1:]]
    assert sum(scores) / len(scores) == pytest.approx(0.3, abs=0.08)


def test_responses_with_a_form_are_the_same_after_a_kill(cache: Path, tmp_path: Path) -> None:
    run(tmp_path / "whole", cache, *TINY_FORM)
    process = start(tmp_path / "killed", cache, *TINY_FORM)
    processes.kill_after(process, "3")
    assert run(tmp_path / "killed", cache, *TINY_FORM) == 6
    assert numbers(tmp_path / "killed") == numbers(tmp_path / "whole")


def test_clip_cov_draws_the_same_after_a_kill(cache: Path, tmp_path: Path) -> None:
    cov = ("actor_rollout_ref.actor.policy_loss.loss_mode=clip_cov", "actor_rollout_ref.actor.clip_ratio_low=1")
    run(tmp_path / "whole", cache, *cov)
    run(tmp_path / "parts", cache, *cov, stop_after=3)
    run(tmp_path / "parts", cache, *cov)
    assert numbers(tmp_path / "whole") == numbers(tmp_path / "parts")


def test_an_adapted_k_follows_its_rule_and_goes_on_from_a_checkpoint(cache: Path, tmp_path: Path) -> None:
    band = {"low": 0.25, "high": 0.5, "gain": 0.1, "k_low": 0.1, "k_high": 0.9}
    keys = [f"algorithm.quantile_controller.{key}={value}" for key, value in band.items()]
    controller = ("algorithm.quantile_k=0.5", *keys)
    run(tmp_path / "whole", cache, *controller)
    run(tmp_path / "stopped", cache, *controller, stop_after=3)
    run(tmp_path / "stopped", cache, *controller)
    assert numbers(tmp_path / "stopped") == numbers(tmp_path / "whole")
    _, *lines = numbers(tmp_path / "whole")[0]
    rule = TinyConfig.from_mapping(tiny_mapping(*TINY_QUICK, *controller)).advantage
    assert isinstance(rule.controller, EntropyBand)
    k = 0.5
    for line in lines:
        k = rule.controller.next_k(k, number(line, metrics.ENTROPY.name))
        assert number(line, metrics.QUANTILE_K.name) == k
    assert k != 0.5


def test_the_policy_learns(cache: Path, tmp_path: Path) -> None:
    run(tmp_path / "r", cache, "trainer.total_training_steps=30", "actor_rollout_ref.actor.optim.lr=1e-3")
    lines, _, _ = numbers(tmp_path / "r")
    first, last = (number(lines[i], metrics.pass_at(1).name) for i in (0, -1))
    assert last > first + 0.15
