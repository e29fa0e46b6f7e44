"""What the toolkit sets itself is refused by name, or honoured; the table is compared with what is really set."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser

from qae.errors import ConfigError
from qae.run_directory import RunDirectory
from sweeps.composition import toolkit_keys
from sweeps.launching.plan import Job, make_plan
from sweeps.run_store.store import RunStore
from sweeps.verl import run as verl_run
from sweeps.verl.overrides import verl_overrides
from tests.support.configs import embedded_mapping, verl_mapping


def plan(config: Mapping[str, object], root: Path) -> None:
    make_plan([Job((), config)], RunStore(root), name="x", retry=False)


def set_by_the_command(config: Mapping[str, object], resumed: int, path: Path) -> dict[str, object]:
    """What verl's command line has beyond the run's own overrides."""
    command = verl_run.command(config, RunDirectory(path / "abc"), resumed)
    own = command[4 + len(verl_overrides(config)) :]
    return {one.key_or_group: one.value() for one in OverridesParser.create().parse_overrides(own)}


def test_every_key_that_the_command_sets_is_in_the_table(tmp_path: Path) -> None:
    config = verl_mapping("++trainer.rollout_data_dir=/r", "++trainer.validation_data_dir=/v")
    listed = {*toolkit_keys.VERL, *toolkit_keys.HONOURED, *toolkit_keys.OF_A_CONTINUED_RUN}
    assert set(set_by_the_command(config, 4, tmp_path)) == listed


OF_HYDRA = {
    "hydra.run.dir",
    "hydra.output_subdir",
}  # `sweeps.composition.arguments` refuses them, before Hydra reads them
OF_VERL = sorted({*toolkit_keys.VERL, *toolkit_keys.WITHOUT_EFFECT} - OF_HYDRA)


@pytest.mark.slow
@pytest.mark.parametrize("key", OF_VERL)
def test_a_users_value_of_such_a_key_is_refused(key: str, tmp_path: Path) -> None:
    value = "5" if key.endswith("log_val_generations") else "mine"
    config = verl_mapping(f"++{key}={value}", "sweep.dry_run=true")
    with pytest.raises(ConfigError) as refused:
        plan(config, tmp_path)
    assert refused.value.key == key
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
@pytest.mark.parametrize(
    ("override", "way"),
    [
        ("++trainer.resume_mode=disable", "sweep.root"),
        ("trainer.project_name=mine", "tracking.project"),
        ("++trainer.logger=[wandb]", "tracking="),
        ("trainer.experiment_name=mine", "sweep.name"),
        ("trainer.v1.trainer_mode=sync", "set qae_sync"),
        ("trainer.v1.trainer_mode=colocate_async", "set qae_colocate_async"),
        ("trainer.v1.trainer_mode=separate_async", "set qae_sync"),
        ("trainer.nnodes=2", "resources.nodes"),
        ("trainer.n_gpus_per_node=4", "resources.gpus_per_node"),
    ],
)
def test_the_refusal_names_the_toolkits_way(override: str, way: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=way) as refused:
        plan(verl_mapping(override, "sweep.dry_run=true"), tmp_path)
    assert refused.value.key == override.lstrip("+").partition("=")[0]


@pytest.mark.slow
@pytest.mark.parametrize(
    "key", ["sweep.naem", "tracking.project_name", "resources.gpus", "slurm.time", "search.trials"]
)
@pytest.mark.parametrize("mapping", [embedded_mapping, verl_mapping])
def test_a_key_of_ours_that_nothing_reads_is_refused(key: str, mapping: Any) -> None:  # noqa: ANN401
    section, name = key.split(".")
    config = mapping()
    config[section] = {**cast("Mapping[str, object]", config[section]), name: 1}
    with pytest.raises(ConfigError, match="nothing reads this key"):
        toolkit_keys.check(config)


def test_verl_without_one_of_its_models_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"backend='verl' .* model="):
        plan({**embedded_mapping(), "backend": "verl"}, tmp_path)


@pytest.mark.slow
def test_what_is_free_to_name_stays() -> None:
    for mapping in (embedded_mapping(), verl_mapping(), verl_mapping("site=example_h100")):
        toolkit_keys.check(mapping)
    toolkit_keys.check(verl_mapping("++slurm.options.exclusive=true", "++slurm.attempts.crash=2"))


@pytest.mark.slow
def test_folders_of_dumps_are_honoured_for_each_run(tmp_path: Path) -> None:
    config = verl_mapping("++trainer.rollout_data_dir=/r", "++trainer.validation_data_dir=/v")
    found = set_by_the_command(config, 0, tmp_path)
    assert found["trainer.rollout_data_dir"] == "/r/abc"
    assert found["trainer.validation_data_dir"] == "/v/abc"
    assert "trainer.rollout_data_dir" not in set_by_the_command(verl_mapping(), 0, tmp_path)


@pytest.mark.slow
def test_modules_of_the_user_are_imported_beside_ours(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VERL_USE_EXTERNAL_MODULES", "mine, qae.verl_plugin")
    key = toolkit_keys.MODULES
    config = verl_mapping(f"{key}=theirs")
    toolkit_keys.check(config)
    wanted = "qae.verl_plugin,theirs,mine"
    assert verl_run.environment(config, RunDirectory(tmp_path))["VERL_USE_EXTERNAL_MODULES"] == wanted
    assert set_by_the_command(config, 0, tmp_path)[key] == wanted


@pytest.mark.parametrize("name", ["foo", "lr", "actor"])
def test_the_embedded_trainer_refuses_a_key_outside_its_sections(name: str, tmp_path: Path) -> None:
    config = {**embedded_mapping(), name: {"bar": 1}}
    with pytest.raises(ConfigError, match=name):
        plan(config, tmp_path)
