"""Arms and seeds of runs that were not started by us, and of ours as ever."""

from collections import Counter
from collections.abc import Mapping
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner, Result
from hypothesis import given
from hypothesis import strategies as st

from analysis import notebook, sources
from analysis.commands import results as commands
from analysis.report import quality
from analysis.runs.configuration import comparable, flatten
from analysis.runs.flaw import Kind
from analysis.runs.identity import DEFAULT, OF_FORK, ArmRule
from analysis.runs.naming import Named, identify
from qae.operational import is_operational
from tests.analysis import experiments

pytestmark = pytest.mark.long


def named(*configs: Mapping[str, object], rule: ArmRule = DEFAULT) -> Named:
    return identify({str(place): flatten(values) for place, values in enumerate(configs)}, rule)


def arms(*configs: Mapping[str, object], rule: ArmRule = DEFAULT) -> list[str]:
    found = named(*configs, rule=rule)
    return [str(found.arms[str(place)]) for place in range(len(configs))]


def seeds(*configs: Mapping[str, object], rule: ArmRule = DEFAULT) -> list[int]:
    found = named(*configs, rule=rule)
    return [found.seeds[str(place)] for place in range(len(configs))]


def of_verl(k: float, seed: int) -> dict[str, object]:
    """A run of verl as its own tracking logs it."""
    return {
        "algorithm": {"quantile_k": k},
        "data": {"seed": seed, "train_files": ["train.parquet"]},
        "actor_rollout_ref": {
            "actor": {"data_loader_seed": seed, "fsdp_config": {"seed": seed}},
            "rollout": {"seed": seed},
        },
        "critic": {"data_loader_seed": 42},
        "trainer": {"default_local_dir": f"ckpt/{k}-{seed}", "experiment_name": f"{k}-{seed}"},
        "pid": 1000 + seed,
        "timestamp": f"2026-01-0{seed} {k}",
    }


def of_trl(k: float, seed: int) -> dict[str, object]:
    """A run of TRL."""
    own = f"/out/{k}/{seed}"
    return {
        "algorithm.quantile_k": k,
        "seed": seed,
        "data_seed": seed,
        "output_dir": own,
        "logging_dir": f"{own}/logs",
        "run_name": own,
        "hub_model_id": own,
        "local_rank": seed,
    }


def of_lightning(k: float, seed: int) -> dict[str, object]:
    """A run of Lightning's command line."""
    own = f"/out/{k}/{seed}"
    return {
        "seed_everything": seed,
        "algorithm": {"quantile_k": k},
        "trainer": {
            "default_root_dir": own,
            "logger": [{"class_path": "CSVLogger", "init_args": {"save_dir": own}}],
            "callbacks": [{"class_path": "ModelCheckpoint", "init_args": {"dirpath": own, "monitor": "loss"}}],
        },
    }


def of_hydra(k: float, seed: int) -> dict[str, object]:
    """A run of a Hydra multirun."""
    own = f"multirun/{k}/{seed}"
    return {
        "training": {"randomSeed": str(seed)},
        "algorithm": {"quantile_k": k},
        "hydra": {"job": {"num": seed}, "run": {"dir": own}},
        "job": {"num": seed, "id": own},
        "cwd": own,
        "env": {"HOSTNAME": own, "MASTER_ADDR": own, "MASTER_PORT": seed, "SLURM_JOB_ID": own},
        "wandb": {"name": own, "group": own},
        "start_time": seed,
        "git": {"commit": own},
    }


@pytest.mark.parametrize("of", [of_verl, of_trl, of_lightning, of_hydra])
def test_foreign_runs_are_arms_of_all_their_seeds(of: object) -> None:
    assert callable(of)
    configs = [of(k, seed) for k in (-1, 0.4) for seed in (1, 2, 3)]
    assert arms(*configs) == ["mean"] * 3 + ["K = 0.4"] * 3
    assert seeds(*configs) == [1, 2, 3] * 2


SETTINGS = """
    model.path actor_rollout_ref.model.path data.train_files reward.custom_reward_function.path lora_rank model.name
    seed_prompt_file num_seed_steps n_seeds init_checkpoint trainer.n_envs optim.name rollout.log_prob_micro_batch_size
    fsdp.output_dtype tiny.task.seed tiny.pretrain.seed tabular.seed
"""


@pytest.mark.parametrize("key", SETTINGS.split())
def test_what_a_run_reads_or_does_is_a_setting(key: str) -> None:
    assert len(set(arms({key: "a", "seed": 1}, {key: "b", "seed": 2}))) == 2


@pytest.mark.slow
@pytest.mark.parametrize("experiment", experiments.names())
def test_our_own_sweeps_keep_their_arms_and_seeds(experiment: str) -> None:
    """The rule of old: runs equal but for `seed` and the operational keys by which run ids are made."""
    configs = {str(place): flatten(values) for place, values in enumerate(experiments.runs_of(experiment))}
    found = identify(configs)
    own = {
        run: frozenset(
            (key, comparable(value))
            for key, value in values.items()
            if value is not None and key != "seed" and key not in OF_FORK and not is_operational(key)
        )
        for run, values in configs.items()
    }
    pairs = {(own[run], found.arms[run]) for run in configs}
    assert len(pairs) == len(set(own.values())) == len(set(found.arms.values()))
    assert dict(found.seeds) == {run: values["seed"] for run, values in configs.items()}
    assert found.notes == ()


@given(
    st.lists(st.tuples(st.integers(0, 2), st.integers(0, 3), st.integers(0, 3)), min_size=1, max_size=12, unique=True)
)
def test_runs_whose_seeds_differ_are_told_apart_within_an_arm(runs: list[tuple[int, int, int]]) -> None:
    """Whichever of two seed keys varies, alone or with the other, no run takes another's place."""
    configs = [{"lr": lr, "data": {"seed": first}, "rollout": {"seed": second}} for lr, first, second in runs]
    found = named(*configs)
    assert set(Counter((found.arms[run], found.seeds[run]) for run in found.arms).values()) == {1}
    pairing = {(values["data"]["seed"], values["rollout"]["seed"]): set[int]() for values in configs}  # type: ignore[index]
    for place, values in enumerate(configs):
        pairing[values["data"]["seed"], values["rollout"]["seed"]].add(found.seeds[str(place)])  # type: ignore[index]
    assert all(len(numbers) == 1 for numbers in pairing.values()), "the same seeds are paired in every arm"


@pytest.mark.slow
@given(st.lists(st.one_of(st.none(), st.text(), st.floats(), st.integers(), st.lists(st.integers())), min_size=1))
def test_seeds_of_any_kind_are_whole_numbers_and_none_is_lost(values: list[object]) -> None:
    found = seeds(*({"seed": value} for value in values))
    assert all(isinstance(seed, int) for seed in found)
    assert {value for value in values if isinstance(value, int) and abs(value) < 2**63} <= set(found)


@pytest.mark.parametrize(
    ("value", "seed"), [(3.0, 3), ("3", 3), (" 3 ", 3), ([3], 3), (-3, -3), ("-3", -3), ("3.0", 3)]
)
def test_a_seed_is_read_as_it_is_meant(value: object, seed: int) -> None:
    assert seeds({"seed": value}, {"seed": 1}) == [seed, 1]


def test_runs_without_a_seed_are_numbered_and_named() -> None:
    found = named({}, {}, {"algorithm": {"quantile_k": 0.4}}, {"algorithm": {"quantile_k": 0.4}})
    assert sorted(found.seeds.values()) == [0, 0, 1, 1]
    assert any("4 runs name no seed" in note for note in found.notes)
    with_one = named({"seed": 5}, {}, {})
    assert sorted(with_one.seeds.values()) == [5, 6, 7], "a run without a seed is paired with none that has one"


def test_seeds_that_are_no_numbers_are_the_same_in_every_arm_and_named() -> None:
    configs = [{"seed": seed, "lr": lr} for lr in (1, 2) for seed in ("b", "a")]
    assert seeds(*configs) == [1, 0, 1, 0]
    assert any("0 is a; 1 is b" in note for note in named(*configs).notes)


def test_a_constant_seed_beside_one_that_varies_does_not_count() -> None:
    assert seeds({"seed": 0, "data": {"seed": 8}}, {"seed": 0, "data": {"seed": 9}}) == [8, 9]


def test_the_same_computation_twice_is_named() -> None:
    assert any("runs 0, 1" in note for note in named({"seed": 3, "pid": 1}, {"seed": 3, "pid": 2}).notes)


def test_keys_that_are_left_out_by_their_names_are_named_where_they_differ() -> None:
    (note,) = named({"seed": 1, "pid": 7}, {"seed": 2, "pid": 8}).notes
    assert "pid" in note
    assert "--split" in note
    assert arms({"seed": 1, "pid": 7}, {"seed": 2, "pid": 8}, rule=ArmRule(split=("pid",))) == [
        "mean, pid=7",
        "mean, pid=8",
    ]


def test_a_key_that_every_run_has_for_itself_is_named() -> None:
    configs = [
        {"algorithm": {"quantile_k": k}, "seed": seed, "my_uid": f"{k}/{seed}"} for k in (-1, 0.4) for seed in (1, 2)
    ]
    assert any("my_uid" in note and "--ignore" in note for note in named(*configs).notes)
    assert arms(*configs, rule=ArmRule(ignore=("my_*",))) == ["mean"] * 2 + ["K = 0.4"] * 2
    assert named(*({"lr": lr, "seed": 0} for lr in (1, 2, 3))).notes == (), "a sweep with one seed is meant so"


@pytest.mark.parametrize("pattern", ["trainer", "trainer.*", "trainer.a.odd", "odd", "a.odd", "*odd", "tr*.odd"])
def test_a_pattern_is_a_key_its_end_a_section_or_has_stars(pattern: str) -> None:
    configs = [{"trainer": {"a": {"odd": value}}} for value in (1, 2)]
    assert len(set(arms(*configs))) == 2
    assert arms(*configs, rule=ArmRule(ignore=(pattern,))) == ["mean", "mean"]


def test_text_that_is_a_number_is_one_where_others_have_one() -> None:
    assert len(set(arms({"lr": "1e-6", "seed": 1}, {"lr": 1e-6, "seed": 2}, {"lr": 2e-6, "seed": 1}))) == 2
    assert len(set(arms({"version": "1.1"}, {"version": "1.10"}))) == 2


@pytest.fixture
def logs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Two arms of two seeds in verl's files, whose seed has a name of its own; and a run made twice."""
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "logs"
    folder.mkdir()
    runs = [(k, seed, "") for k in (-1, 0.4) for seed in (1, 2)] + [(0.4, 2, "-again")]
    for place, (k, seed, again) in enumerate(runs):
        name = folder / f"{k}-{seed}{again}"
        values = {
            "algorithm": {"quantile_k": k},
            "lottery": {"ticket": seed},
            "layers": [{"type": "attn"}],
            "pid": place,
        }
        name.with_name(f"{name.name}.yaml").write_text(yaml.safe_dump(values))
        lines = [f'{{"step": {step}, "data": {{"actor/entropy": {0.5 + place + seed / 8}}}}}\n' for step in range(1, 8)]
        name.with_name(f"{name.name}.jsonl").write_text("".join(lines))
    return folder


def invoke(command: object, *arguments: str) -> Result:
    return CliRunner().invoke(command, arguments)  # type: ignore[arg-type]  # a click command


@pytest.mark.slow
def test_the_options_are_on_every_command_and_reach_the_arms(logs: Path) -> None:
    table = invoke(commands.table, str(logs), "--csv")
    assert "ticket=1" in table.stdout
    table = invoke(commands.table, str(logs), "--seed-key", "lottery.ticket", "--csv")
    assert [line.split(",")[:2] for line in table.stdout.splitlines()[1:]] == [["mean", "2"], ["K = 0.4", "3"]]
    assert "have one configuration" in table.stderr
    found = invoke(commands.compare, str(logs), "--seed-key", "ticket", "--measure", "peak entropy", "--csv").stdout
    # Seed 2 of K = 0.4 counts by the mean of its two runs: 3.75 and 4.75, against 0.625 and 1.75.
    assert float(found.splitlines()[1].split(",")[4]) == pytest.approx(((2.625 - 0.625) + (4.25 - 1.75)) / 2)
    drawn = invoke(commands.figures, str(logs), "entropy_and_pass", "--seed-key", "ticket", "--format", "svg")
    assert drawn.exit_code == 0, drawn.output
    opened = notebook.open_runs(str(logs), seed_key=["ticket"])
    assert len(opened.runs.arms) == 2
    kinds = Counter(finding.kind for finding in quality.check(opened.runs))
    assert kinds[Kind.DUPLICATE] == 1


@pytest.mark.parametrize("option", ["--seed-key", "--ignore", "--split"])
def test_a_key_that_no_run_has_is_told_with_a_near_one(logs: Path, option: str) -> None:
    result = invoke(commands.table, str(logs), option, "lottery.tiket")
    assert result.exit_code == 2
    assert option in result.output
    assert "lottery.tiket" in result.output
    assert "did you mean lottery.ticket?" in result.output
    assert result.output.count("\n") == 1
    with pytest.raises(sources.SourceError, match=r"lottery\.ticket"):
        sources.load(logs, rule=ArmRule(ignore=("lottery.tiket",)))
