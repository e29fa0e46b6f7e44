"""Training of the tabular policy: gradients, determinism, kills, and the dynamics that it exists for."""

from pathlib import Path

import pytest
import torch

from qae import metrics
from qae.advantage import group_advantages
from qae.embedded.batch import MiniBatch
from qae.embedded.losses import make_policy_loss
from qae.files.json_lines import read_jsonl
from qae.run_directory import RunDirectory, read_evaluations, read_metrics
from qae.tabular.config import TabularConfig
from qae.tabular.policy import TabularPolicy
from qae.tabular.table import Gradient, Table
from qae.tabular.train import train
from tests.support import processes
from tests.support.configs import embedded_mapping
from tests.tabular.worlds import small

pytestmark = pytest.mark.slow

CLOCK = {"time", *(name for name in metrics.METRICS if name.startswith(("timing_s/", "perf/")))}
RUN = """
import sys
from pathlib import Path
import torch
from qae.run_directory import RunDirectory
from qae.tabular.train import train
from tests.tabular.worlds import small
torch.set_num_threads(1)
train(small(*sys.argv[2:]), RunDirectory(Path(sys.argv[1])),
      on_step=lambda step, values: print(step, flush=True), should_stop=lambda: False)
"""
K = "algorithm.quantile_k=0.4"


def run(path: Path, *overrides: str, stop_after: int | None = None) -> int:
    steps: list[int] = []
    return train(
        small(K, *overrides),
        RunDirectory(path),
        on_step=lambda step, _: steps.append(step),
        should_stop=lambda: stop_after is not None and steps[-1] >= stop_after,
    )


def numbers(path: Path) -> tuple[object, object, object]:
    directory = RunDirectory(path)
    lines = [{k: v for k, v in line.items() if k not in CLOCK} for line in read_metrics(directory).records]
    tokens = {str(line["step"]): line for line in read_jsonl(directory.tokens).records}
    return lines, read_evaluations(directory).records, tokens


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("runs") / "uninterrupted"
    assert run(path) == 6
    return path


@pytest.mark.parametrize("stop_after", [0, 1, 3, 5])
def test_a_stopped_run_continues_as_if_it_had_not_been(uninterrupted: Path, tmp_path: Path, stop_after: int) -> None:
    assert run(tmp_path / "r", stop_after=stop_after) == stop_after
    assert run(tmp_path / "r") == 6
    assert numbers(tmp_path / "r") == numbers(uninterrupted)


@pytest.mark.parametrize("kill_at", ["1", "3"])
def test_a_run_killed_by_sigkill_continues_as_if_it_had_not_been(
    uninterrupted: Path, tmp_path: Path, kill_at: str
) -> None:
    process = processes.python("-c", RUN, str(tmp_path / "r"), K, OMP_WAIT_POLICY="PASSIVE")
    processes.kill_after(process, kill_at)
    with RunDirectory(tmp_path / "r").metrics.open("ab") as file:
        file.write(b'{"step": 99, "torn')
    assert run(tmp_path / "r") == 6
    assert numbers(tmp_path / "r") == numbers(uninterrupted)


def test_another_seed_differs(uninterrupted: Path, tmp_path: Path) -> None:
    run(tmp_path / "other", "seed=1")
    assert numbers(tmp_path / "other")[0] != numbers(uninterrupted)[0]


@pytest.mark.parametrize(
    "regularizer",
    ["clip_higher", pytest.param("gspo", marks=pytest.mark.slow), pytest.param("kl_cov", marks=pytest.mark.slow)],
)
def test_a_step_goes_along_autograds_gradient_on_the_dense_tables(
    regularizer: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = small(K, "actor_rollout_ref.rollout.temperature=0.8", groups=(f"regularizer={regularizer}",))
    policy = TabularPolicy(config)
    batch = policy.batch(1)
    advantage_B = group_advantages(batch.score_B, batch.group_B, config.advantage).advantage_B
    mask_B_T = batch.responses.mask_B_T
    part = MiniBatch.of(batch, advantage_B, mask_B_T).take(slice(16))
    taken: dict[int, Gradient] = {}
    # Away from the rollout policy, so that ratios differ from 1 and some are clipped.
    for table in (policy.style, policy.facts):
        table.logits += 0.3 * torch.randn(table.logits.shape, generator=torch.Generator().manual_seed(3))
    leaves = [table.logits.clone().requires_grad_() for table in (policy.style, policy.facts)]
    monkeypatch.setattr(Table, "descend", lambda self, along, _lr: taken.__setitem__(id(self), along))
    torch.manual_seed(0)
    values = policy.descend(part, 0.1)
    style, facts = (torch.log_softmax(leaf / 0.8, -1) for leaf in leaves)
    contexts, vocabulary = config.tabular.style_contexts, config.tabular.vocabulary
    row_B_T, ids_B_T = part.inputs_B, part.ids_B_T
    is_style = row_B_T < contexts
    log_prob_B_T = torch.where(
        is_style,
        style[row_B_T.clamp(max=contexts - 1), ids_B_T.clamp(max=vocabulary - 1)],
        facts[(row_B_T - contexts).clamp(min=0), (ids_B_T - vocabulary).clamp(min=0)],
    )
    torch.manual_seed(0)
    loss, _ = make_policy_loss(config.actor, config.rollout.n)(
        old_log_prob=part.old_log_prob_B_T,
        log_prob=log_prob_B_T,
        advantages=part.advantage_B[:, None].expand_as(part.mask_B_T),
        response_mask=part.mask_B_T,
    )
    loss.backward()
    norm = float(torch.nn.utils.clip_grad_norm_(leaves, config.actor.grad_clip))
    assert values[metrics.GRAD_NORM.name] == pytest.approx(norm, rel=1e-4)
    assert values[metrics.POLICY_LOSS.name] == pytest.approx(loss.item(), rel=1e-4, abs=1e-6)
    for table, leaf in zip((policy.style, policy.facts), leaves, strict=True):
        dense = torch.zeros_like(leaf)
        dense[taken[id(table)].rows] = taken[id(table)].values
        assert leaf.grad is not None
        assert float(leaf.grad.abs().max()) > 0
        torch.testing.assert_close(dense, leaf.grad, rtol=1e-3, atol=1e-6)


def test_metrics_are_those_of_the_batch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    batches = []
    original = TabularPolicy.batch

    def recorded(self: TabularPolicy, step: int) -> object:
        batches.append(original(self, step))
        return batches[-1]

    monkeypatch.setattr(TabularPolicy, "batch", recorded)
    assert run(tmp_path / "r") == 6
    lines = [line for line in read_metrics(RunDirectory(tmp_path / "r")).records if line["step"] != 0]
    for line, batch in zip(lines, batches, strict=True):
        mask = batch.responses.mask_B_T
        lengths = mask.sum(1)
        right = batch.score_B > 0
        expected = {
            metrics.ENTROPY: (batch.responses.entropy_B_T * mask).sum() / mask.sum(),
            metrics.SCORE_MEAN: right.float().mean(),
            metrics.LENGTH_MEAN: lengths.mean(),
            metrics.LENGTH_RIGHT: lengths[right].mean(),
            metrics.LENGTH_WRONG: lengths[~right].mean(),
        }
        for metric, value in expected.items():
            assert line[metric.name] == pytest.approx(float(value), rel=1e-5), metric.name


def test_a_balanced_k_is_chosen_of_each_batch_and_a_killed_run_chooses_the_same(tmp_path: Path) -> None:
    balanced = [f"algorithm.quantile_controller.{key}" for key in ("target=0.0", "k_low=0.01", "k_high=0.99")]

    def play(name: str, stop_after: int | None = None) -> int:
        return run(tmp_path / name, "algorithm.quantile_k=-1", *balanced, stop_after=stop_after)

    assert play("whole") == 6
    assert play("stopped", stop_after=3) == 3
    assert play("stopped") == 6
    assert numbers(tmp_path / "whole") == numbers(tmp_path / "stopped")
    for k in (0.2, 0.8):
        assert run(tmp_path / f"{k}", f"algorithm.quantile_k={k}", stop_after=1) == 1

    def logged(name: str, metric: metrics.Metric) -> list[float]:
        lines = read_metrics(RunDirectory(tmp_path / name)).records
        return [float(str(line[metric.name])) for line in lines if line["step"] != 0]

    assert all(0 < k < 1 for k in logged("whole", metrics.QUANTILE_K))
    first = {name: abs(logged(name, metrics.ADVANTAGE_TOKEN_MEAN)[0]) for name in ("whole", "0.2", "0.8")}
    assert first["whole"] == min(first.values()) < max(first.values())


def test_entropy_explodes_under_the_mean_and_not_under_the_quantile(tmp_path: Path) -> None:
    def entropies(name: str, *overrides: str) -> list[float]:
        directory = RunDirectory(tmp_path / name)
        config = TabularConfig.from_mapping(embedded_mapping("trainer.total_training_steps=20", *overrides))
        train(config, directory, on_step=lambda *_: None, should_stop=lambda: False)
        lines = read_metrics(directory).records
        return [float(str(line[metrics.ENTROPY.name])) for line in lines if metrics.ENTROPY.name in line]

    mean, quantile = entropies("mean"), entropies("quantile", K)
    assert mean[0] == pytest.approx(quantile[0])
    assert mean[-1] > 1.2 * mean[0]
    assert quantile[-1] < 0.7 * quantile[0]
