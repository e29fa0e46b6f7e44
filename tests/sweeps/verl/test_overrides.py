"""What verl gets is what the configuration says, and what verl would choke on is refused before."""

import json
import math
import os
import re
import subprocess
import sys
from importlib import metadata
from pathlib import Path
from typing import cast

import orjson
import pytest
from click.testing import CliRunner
from hydra import compose, initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from hydra.core.override_parser.overrides_parser import OverridesParser
from hypothesis import given, settings
from hypothesis import strategies as st
from omegaconf import OmegaConf

from qae.errors import ConfigError
from qae.nested import leaves, value_of
from sweeps.app import compose_run
from sweeps.cli import main
from sweeps.composition import tree
from sweeps.composition.grammar import quoted
from sweeps.verl import modes as verl_modes
from sweeps.verl import source as verl_source
from sweeps.verl.overrides import shell_command, verl_overrides, verl_values
from sweeps.verl.rules import checking as verl_rules
from sweeps.worker import run_checks
from tests import ROOT
from tests.support.configs import TREE, verl_mapping

pytestmark = [pytest.mark.slow, pytest.mark.long]

MODELS = ("qwen3-8b-base", "qwen3-14b-base", "qwen2.5-32b", "qwen3-30b-a3b-base")
REGULARIZERS = sorted(path.stem for path in (TREE / "regularizer").glob("*.yaml"))
SCRIPTS = sorted((ROOT / "scripts").glob("run_*.sh"))

keys = st.from_regex(r"[A-Za-z_][A-Za-z0-9_-]{0,8}", fullmatch=True).filter(
    lambda key: key.lower() not in ("null", "true", "false", "inf", "nan")
)
text = st.text(st.characters(exclude_categories=["Cs"]), max_size=12) | st.text(
    "'\"\\${}[](),:=# \n\t~+@%a1", max_size=16
)
scalars = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | text
values = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(keys, inner, max_size=3), max_leaves=6
)


@settings(max_examples=300, deadline=None)
@given(values)
def test_every_value_survives_hydras_grammar(value: object) -> None:
    parsed = OverridesParser.create().parse_override(f"key={quoted(value)}").value()
    resolved = cast("dict[str, object]", OmegaConf.to_container(OmegaConf.create({"key": parsed}), resolve=True))
    assert resolved["key"] == value
    assert type(resolved["key"]) is type(value)


def test_nan_survives() -> None:
    assert math.isnan(cast("float", OverridesParser.create().parse_override(f"key={quoted(math.nan)}").value()))


def test_a_key_that_no_command_line_can_hold_is_refused() -> None:
    with pytest.raises(ConfigError, match="letters, digits"):
        verl_overrides(verl_mapping() | {"data": {"two words": 1}})


@pytest.mark.parametrize("model", MODELS)
def test_every_model_with_every_regularizer_and_baseline_passes_the_rules(model: str) -> None:
    for regularizer in REGULARIZERS:
        for k in (-1, 0.4):
            config = compose_run([f"model={model}", f"regularizer={regularizer}", f"algorithm.quantile_k={k}"])
            verl_rules.check(config, exists=None)
            assert value_of(config, "labels.regularizer") == regularizer


@pytest.mark.parametrize(
    ("model", "regularizer"),
    [*((model, "clip_cov") for model in MODELS), *(("qwen3-8b-base", r) for r in REGULARIZERS)],
)
def test_verls_own_yaml_takes_the_overrides_and_holds_the_values(model: str, regularizer: str) -> None:
    config = verl_mapping(f"model={model}", f"regularizer={regularizer}", "seed=7")
    folder = installed_verl().folder / "trainer" / "config"
    with initialize_config_dir(str(folder), version_base=None):
        composed = compose("ppo_trainer", overrides=verl_overrides(config))
    for key, value in verl_values(config).items():
        if key != "model_engine":
            assert OmegaConf.select(composed, key) == value
    assert composed.data.seed == composed.actor_rollout_ref.actor.data_loader_seed == 7
    assert composed.actor_rollout_ref.rollout.seed == 7


def test_verl_itself_finds_every_regularizer_valid() -> None:
    """Its dataclasses and validate_config, in a process of its own: the import takes a quarter of a minute."""
    runs = [[f"model={MODELS[0]}", f"regularizer={r}", "algorithm.quantile_k=0.4"] for r in REGULARIZERS]
    smaller = ("qwen3-8b-base-8gpus", "qwen3-8b-base-4gpus", "qwen3-random-400m")
    runs += [[f"model={model}"] for model in (*MODELS[1:], *smaller)]
    code = (
        "import json, sys; from hydra import compose, initialize_config_dir\n"
        "from tests.support.configs import verl_mapping\n"
        "from sweeps.verl import source as verl_source; from sweeps.verl.overrides import verl_overrides\n"
        "from verl.trainer.ppo.utils import need_critic, need_reference_policy\n"
        "from verl.utils.config import validate_config\n"
        "for run in json.loads(sys.argv[1]):\n"
        "    overrides = verl_overrides(verl_mapping(*run))\n"
        "    folder = verl_source.installed().folder\n"
        "    with initialize_config_dir(str(folder / 'trainer' / 'config'), version_base=None):\n"
        "        config = compose('ppo_trainer', overrides=overrides)\n"
        "    needs = dict(use_reference_policy=need_reference_policy(config), use_critic=need_critic(config))\n"
        "    validate_config(config=config, **needs); print('valid', *run)"
    )
    result = subprocess.run(
        [sys.executable, "-c", code, json.dumps(runs)], capture_output=True, text=True, cwd=ROOT, check=False
    )
    assert [line for line in result.stdout.splitlines() if line.startswith("valid")] == [
        " ".join(["valid", *run]) for run in runs
    ], result.stderr[-2000:]


def test_rules_and_command_import_neither_torch_nor_verl() -> None:
    code = (
        "import sys; from tests.support.configs import verl_mapping; from sweeps.verl import overrides\n"
        "from sweeps.worker import run_checks\n"
        "config = verl_mapping('model=qwen3-30b-a3b-base', 'sweep.dry_run=true')\n"
        "run_checks.check(config); overrides.shell_command(config)\n"
        "print([name for name in ('torch', 'verl', 'ray', 'transformers') if name in sys.modules])"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=True)
    assert result.stdout.strip() == "[]"


def test_the_hydra_that_composes_the_sweep_stays_registered() -> None:
    verl_source._compose.cache_clear()
    with initialize_config_dir(str(TREE), version_base="1.3"):
        before = GlobalHydra.instance().hydra
        verl_source.find().defaults("dp")
        assert GlobalHydra.instance().hydra is before
        compose("config")


def test_a_model_sets_no_key_of_a_regularizer() -> None:
    """Models come after regularizers in the tree: a key in both would undo the choice."""
    of_regularizers = {key for path in (TREE / "regularizer").glob("*.yaml") for key in _dotted(path)}
    assert "actor_rollout_ref.actor.clip_ratio_high" in of_regularizers
    for folder in ("model", "recipe", "reading", "verifier"):
        for path in (TREE / folder).glob("*.yaml"):
            assert _dotted(path) & of_regularizers == set(), path


def _dotted(path: Path) -> set[str]:
    return {key for key, value in leaves(tree.written(path)) if key != "defaults" and value != {}}


A = "actor_rollout_ref.actor"
R = "actor_rollout_ref.rollout"
MODE = "trainer.v1.trainer_mode"
APART = (f"{MODE}=qae_separate_async", f"++{R}.nnodes=2", f"++{R}.checkpoint_engine.backend=nccl")


@pytest.mark.parametrize(
    ("overrides", "says"),
    [
        ([f"++{A}.clip_ratio_hihg=0.3"], "did you mean actor_rollout_ref.actor.clip_ratio_high?"),
        ([f"++{A}.policy_loss.tau_pos=1"], "verl has no such key"),
        (["++data.train_bach_size=3"], "did you mean data.train_batch_size?"),
        (["++trainer.nnode=3"], "did you mean trainer.nnodes?"),
        (["++reward.reward_managr.name=dapo"], "did you mean reward.reward_manager.name?"),
        (["++algorithm.quantil_k=0.4"], "did you mean algorithm.quantile_k?"),
        (["++trainr.nnodes=3"], "did you mean trainer.nnodes?"),
        ([f"++{A}.fsdp_config=5"], "this is a section; it has"),
        ([f"{A}.optim.lr=fast"], "give a number"),
        ([f"{A}.use_dynamic_bsz=1"], "give true or false"),
        (["++model_engine=megatrn"], "choose one of dp, megatron"),
        ([f"{A}.policy_loss.loss_mode=clip-cov"], "did you mean clip_cov?"),
        (["algorithm.adv_estimator=gropo"], "did you mean grpo?"),
        ([f"{A}.loss_agg_mode=token_mean"], "did you mean token-mean?"),
        (["regularizer=kl_penalty", f"{A}.kl_loss_type=lowvar_kl"], "did you mean low_var_kl"),
        (["trainer.v1.trainer_mode=qae_snyc"], "did you mean qae_sync?"),
        ([f"{A}.ppo_mini_batch_size=33"], "it must divide data.train_batch_size=512"),
        (["resources.gpus_per_node=3", "resources.nodes=2"], "= 4 must divide all 6 GPUs"),
        (["resources.nodes=3"], "its 512 responses must divide evenly over 6 data-parallel ranks"),
        (["resources.nodes=0"], "give a whole number of at least 1"),
        ([f"{A}.use_dynamic_bsz=false"], "without actor_rollout_ref.actor.use_dynamic_bsz=true set this one"),
        (["data.max_response_length=131072"], "a sequence of 133120 tokens must fit on the 4 GPUs"),
        (["actor_rollout_ref.model.use_remove_padding=false"], "ulysses_sequence_parallel_size=4 needs it to be true"),
        ([f"{R}.tensor_model_parallel_size=3"], "it must divide the run's 32 GPUs"),
        ([f"{R}.val_kwargs.temperature=0"], "the 32 samples of a problem would all be the same"),
        ([f"{R}.temperature=0"], "give a number above 0"),
        (["regularizer=dro", f"{A}.policy_loss.dro_beta=null"], "loss_mode=dro needs a number above 0"),
        (["regularizer=gspo", f"{A}.loss_agg_mode=token-mean"], "set seq-mean-token-mean"),
        (["regularizer=kl_penalty", "++algorithm.use_kl_in_reward=true"], "penalises the same KL again"),
        (["algorithm.quantile_k=0.4", "++algorithm.use_kl_in_reward=true"], "set algorithm.quantile_on=accuracy"),
        (["controller=balance", "++algorithm.use_kl_in_reward=true"], "set algorithm.quantile_on=accuracy"),
        (["algorithm.quantile_k=0.4", "algorithm.adv_estimator=rloo"], "it has no quantile for algorithm.quantile_k"),
        (["controller=balance", "algorithm.adv_estimator=rloo"], "it has no quantile for algorithm.quantile_k"),
        (["advantage=median", "algorithm.adv_estimator=rloo"], "only qae reads algorithm.advantage"),
        (["++data.gen_batch_size=1536"], "verl generates prompt by prompt"),
        (["++algorithm.filter_groups.max_num_gen_batches=10"], "verl's trainer ignores it"),
        (["++algorithm.rollout_correction.bypass_mode=true"], "verl then computes no entropy"),
        (["++algorithm.rollout_correction.bypass_mode=true", f"{MODE}=qae_colocate_async"], "which qae_colocate_async"),
        ([f"{MODE}=separate_async"], f"{R}.nnodes=0 "),
        ([*APART[:2], f"++{R}.n_gpus_per_node=0"], f"{R}.n_gpus_per_node=0 "),
        ([*APART[:2]], "set nccl"),
        ([*APART], "needs trainer.v1.separate_async.parameter_sync_step=4 mini-batches, 128 prompts"),
        (
            [*APART, "data.train_batch_size=128", "++reward.reward_model.enable=true"],
            "the reward model on GPUs of its own",
        ),
        (
            ["++actor_rollout_ref.hybrid_engine=false"],
            "trainer.v1.trainer_mode=qae_sync generates on the trainer's GPUs",
        ),
        ([f"{R}.name=vlm"], "did you mean vllm?"),
        ([f"{R}.name=nonsense"], "choose one of vllm, sglang"),
        (["++trainer.device=npu"], "choose one of cuda, cpu"),
        (["algorithm.filter_groups.metric=null"], "name one, e.g. acc"),
        (["++trainer.use_v1=false"], "needs true"),
        (["reward.reward_kwargs.overlong_buffer_cfg.len=30000"], "it must be at most"),
        (["trainer.total_training_steps=null"], "give a whole number above 0"),
        (
            ["data.val_files=[s3://bucket/aime.parquet,/nowhere/amc.parquet]", "data.train_files=sweep.py"],
            "qae data prepare",
        ),
    ],
)
def test_what_verl_would_choke_on_is_refused_in_one_sentence(
    overrides: list[str], says: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(ROOT)
    config = verl_mapping(*overrides)
    with pytest.raises(ConfigError) as refused:
        verl_rules.check(config, exists=Path.exists if "sweep.py" in str(config["data"]) else None)
    assert says in str(refused.value)
    assert "\n" not in str(refused.value)


def test_every_trainer_of_verl_has_a_recording_one_that_verls_rules_let_through() -> None:
    folder = installed_verl().folder / "trainer" / "ppo" / "v1"
    source = "".join(path.read_text() for path in folder.glob("*.py"))
    assert sorted(re.findall(r'@register_trainer\("(\w+)"\)', source)) == sorted(verl_modes.OF_VERL)
    verl_rules.check(verl_mapping(*APART, "data.train_batch_size=128"), exists=None)
    for mode in ("sync", "qae_sync", "colocate_async", "qae_colocate_async"):
        verl_rules.check(verl_mapping(f"{MODE}={mode}"), exists=None)
    verl_modes.check(verl_mapping(f"{MODE}=qae_colocate_async"))
    with pytest.raises(ConfigError, match=r"'qae_separate_async' .* GPUs .*; set qae_colocate_async"):
        verl_modes.check(verl_mapping(*APART, "data.train_batch_size=128"))


def test_what_other_recipes_use_is_let_through() -> None:
    verl_rules.check(verl_mapping("algorithm.quantile_k=0.4", "algorithm.adv_estimator=grpo"), exists=None)
    verl_rules.check(
        verl_mapping(
            "algorithm.quantile_k=0.4",
            "++algorithm.use_kl_in_reward=true",
            "algorithm.quantile_on=accuracy",
            "attention=sdpa",
            "++actor_rollout_ref.rollout.engine_kwargs.vllm.swap_space=4",
            "++ray_kwargs.ray_init.num_gpus=1",
            "++actor_rollout_ref.actor.optim.override_optimizer_config={eps: 1e-9}",
            "data.train_files=hdfs://cluster/train.parquet",
        ),
        exists=None,
    )


class Found:
    def __init__(self, origin: str | None) -> None:
        self.origin = origin


def find_version(version: str) -> verl_source.VerlSource | None:
    return verl_source.installed(find_spec=lambda _: Found("/verl/__init__.py"), version=lambda _: version)


def installed_verl() -> verl_source.VerlSource:
    found = verl_source.installed()
    assert found is not None
    return found


def test_verl_that_is_too_old_is_one_sentence() -> None:
    assert verl_source.installed(find_spec=lambda _: None) is None
    for version in ("0.9.0", "0.8.2.post1", "0.9"):
        with pytest.raises(ConfigError, match=rf"verl {version} is too old; install verl>=0\.9\.1"):
            find_version(version)
    for version in ("0.9.1", "0.10.0", "1.0", "0.9.1+cu130"):
        assert find_version(version) == verl_source.VerlSource(Path("/verl"))


def test_the_recorded_verl_is_the_installed_one() -> None:
    """Plans of the light environment check against the record."""
    ours, record = installed_verl(), verl_source.RecordedVerl(orjson.loads(verl_source.RECORD.read_bytes()))
    assert metadata.version("verl") == verl_source.RECORD.stem.removeprefix("verl_"), "run `make verl-record`"
    names = ("loss_modes", "estimators", "rollouts")
    assert all(getattr(record, name)() == getattr(ours, name)() for name in names), "run `make verl-record`"
    assert sorted(record.content["defaults"]) == sorted(ours.engines())
    for engine in ours.engines():
        assert record.defaults(engine) == ours.defaults(engine), "run `make verl-record`"
    with pytest.raises(ConfigError, match="choose one of dp, megatron"):
        record.defaults("deepspeed")


def test_the_30b_model_trains_with_gspo_unless_another_regularizer_is_chosen() -> None:
    actor = verl_values(verl_mapping("model=qwen3-30b-a3b-base"))
    assert actor[f"{A}.policy_loss.loss_mode"] == "gspo"
    assert (actor[f"{A}.clip_ratio_low"], actor[f"{A}.clip_ratio_high"]) == (3e-4, 4e-4)
    assert actor[f"{A}.ppo_mini_batch_size"] == 128
    other = verl_values(verl_mapping("model=qwen3-30b-a3b-base", "regularizer=clip_higher"))
    assert other[f"{A}.policy_loss.loss_mode"] == "vanilla"
    assert other[f"{A}.loss_agg_mode"] == "token-mean"


def test_one_key_switches_between_the_papers_text_and_daposcript() -> None:
    doubtful = (f"{A}.optim.lr_warmup_steps", f"{R}.val_kwargs.temperature", f"{R}.val_kwargs.top_p")
    text, script = (verl_values(verl_mapping(f"reading={name}")) for name in ("paper", "dapo_script"))
    assert [text[key] for key in doubtful] == [0, 0.7, 1.0]
    assert [script[key] for key in doubtful] == [10, 1.0, 0.7]
    assert {key for key in text if text[key] != script[key]} == set(doubtful)


def test_one_key_switches_between_verls_verifiers() -> None:
    key, path = "reward.custom_reward_function.path", "pkg://qae.verl_plugin.answer_verifier"
    for model in MODELS:
        theirs = verl_values(verl_mapping(f"model={model}", "verifier=answer_or_boxed"))
        assert verl_values(verl_mapping(f"model={model}")) == {**theirs, key: path}
    assert all(f"{key}=" in script.read_text() and path in script.read_text() for script in SCRIPTS)


def test_the_check_looks_for_the_files_of_a_run_but_not_of_a_dry_run() -> None:
    run_checks.check(verl_mapping("sweep.dry_run=true", "data.train_files=/nowhere.parquet"))
    with pytest.raises(ConfigError, match="there is no such file"):
        run_checks.check(verl_mapping("data.train_files=/nowhere.parquet"))


def command(*arguments: str) -> tuple[int, str]:
    result = CliRunner(env={"QAE_DATA": None}).invoke(main, ["verl-command", *arguments])
    return result.exit_code, result.output


def test_the_command_is_one_that_a_shell_reads_back(tmp_path: Path) -> None:
    path = 'models/it\'s $HOME, {really} "so"'
    config = verl_mapping("algorithm.quantile_k=0.4")
    cast("dict[str, dict[str, dict[str, object]]]", config)["actor_rollout_ref"]["model"]["path"] = path
    fake = tmp_path / "python"
    fake.write_text(f"#!{sys.executable}\nimport json, os, sys\nprint(json.dumps([sys.argv[1:], dict(os.environ)]))\n")
    fake.chmod(0o755)
    shell = subprocess.run(
        ["bash", "-c", shell_command(config)],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "PATH": f"{tmp_path}:{os.environ['PATH']}", "VERL_USE_EXTERNAL_MODULES": "mine"},
    )
    arguments, environment = json.loads(shell.stdout)
    assert arguments[:2] == ["-m", "verl.trainer.main_ppo"]
    assert environment["VERL_USE_EXTERNAL_MODULES"] == "qae.verl_plugin,mine"
    for_workers = "++ray_kwargs.ray_init.runtime_env.env_vars.VERL_USE_EXTERNAL_MODULES"
    expected = {override.partition("=")[0]: override for override in verl_overrides(config)}
    expected[for_workers] = f"{for_workers}='qae.verl_plugin,mine'"
    assert arguments[2:] == list(expected.values())
    parsed = OverridesParser.create().parse_overrides(arguments[2:])
    by_key = {override.key_or_group: override.value() for override in parsed}
    assert str(by_key["algorithm.quantile_k"]) == "0.4"
    assert str(by_key["actor_rollout_ref.model.path"]) == path


def name_of(script: str, tmp_path: Path, *overrides: str) -> str:
    """The experiment name that verl gets from a command of ours with more overrides behind it."""
    fake = tmp_path / "python"
    fake.write_text("#!/bin/sh\nprintf '%s\\n' \"$@\"\n")
    fake.chmod(0o755)
    environment = {**os.environ, "PATH": f"{tmp_path}:{os.environ['PATH']}"}
    ran = ["bash", "-c", script, "script", *overrides]
    printed = subprocess.run(ran, capture_output=True, text=True, check=True, env=environment).stdout
    parsed = OverridesParser.create().parse_overrides([line for line in printed.splitlines() if "=" in line])
    return str({override.key_or_group: override.value() for override in parsed}["trainer.experiment_name"])


def test_two_commands_share_no_checkpoints_unless_they_are_the_same_run(tmp_path: Path) -> None:
    """Verl continues from whatever lies under its experiment name."""
    chosen = {
        "mean": ("model=qwen3-8b-base",),
        "K = 0.4": ("model=qwen3-8b-base", "algorithm.quantile_k=0.4"),
        "another seed": ("model=qwen3-8b-base", "seed=1"),
        "another rate": ("model=qwen3-8b-base", "actor_rollout_ref.actor.optim.lr=2e-6"),
    }
    names = {key: name_of(command(*overrides)[1], tmp_path) for key, overrides in chosen.items()}
    assert len(set(names.values())) == len(chosen)
    assert names["mean"].startswith("qwen3-8b-base-clip_higher-")
    same = command("model=qwen3-8b-base", "algorithm.quantile_k=-1.0", "tracking=none")[1]
    assert name_of(same, tmp_path) == names["mean"]
    assert name_of(command("model=qwen3-8b-base", "trainer.experiment_name=mine")[1], tmp_path) == "mine"


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.name)
def test_a_script_with_more_overrides_is_another_run(script: Path, tmp_path: Path) -> None:
    k, rate = "++algorithm.quantile_k=0.4", "actor_rollout_ref.actor.optim.lr=2e-6"
    given = ((), (k,), ("++algorithm.quantile_k=0.2",), (rate,), (k, rate))
    names = {overrides: name_of(script.read_text(), tmp_path, *overrides) for overrides in given}
    assert len(set(names.values())) == len(given)
    assert name_of(script.read_text(), tmp_path, rate, k) == names[k, rate]
    assert all(name.startswith(names[()]) for name in names.values())


def test_verl_command_says_mistakes_as_the_sweep_does() -> None:
    assert command("model=qwen3-8b") == (2, _usage("did you mean qwen3-8b-base?", "model=qwen3-8b"))
    for arguments, says in {
        (): "choose one of verl's models with model=",
        ("model=qwen3-8b-base", "algorithm.quantile_k=abc"): "algorithm.quantile_k='abc' cannot be used",
        ("model=qwen3-8b-base", "regularizer=gsop"): "did you mean gspo?",
    }.items():
        code, output = command(*arguments)
        assert code == 2
        assert says in output


def _usage(says: str, argument: str) -> str:
    code, output = command(argument)
    assert code == 2
    assert says in output
    return output


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.name)
def test_scripts_are_what_the_tree_says(script: Path) -> None:
    code, expected = command("--script", f"model={script.stem.removeprefix('run_')}")
    assert code == 0
    assert script.read_text() == expected, "run `make scripts`"
    assert os.access(script, os.X_OK)


def test_there_is_a_script_for_each_model_that_the_authors_have_one_for() -> None:
    authors = {"run_qwen3-8b-base", "run_qwen3-14b-base", "run_qwen2.5-32b"}
    ours = {"run_qwen3-8b-base-8gpus", "run_qwen3-8b-base-4gpus"}
    assert {script.stem for script in SCRIPTS} == authors | ours
