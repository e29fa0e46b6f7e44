"""What a newcomer types is honoured, or named with its fix."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qae.errors import ConfigError
from sweeps.composition.arguments import MistypedError, axis_hint, read, repeated, unreadable
from sweeps.composition.tree import groups, is_group, known_keys, nearest, options

K = "algorithm.quantile_k"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("typed", "fix"),
    [
        (["-m", "experiment=fig9"], "write +experiment=fig9"),
        (["experiment=fig9"], "write +experiment=fig9"),
        (["++experiment=fig9"], "write +experiment=fig9"),
        (["+experiment/fig9"], "write +experiment=fig9"),
        (["+fig9"], "write +experiment=fig9"),
        (["fig9"], "write +experiment=fig9"),
        (["--experiment=fig9"], "write +experiment=fig9"),
        (["+model=tiny"], "write model=tiny"),
        (["++model=tiny"], "write model=tiny"),
        (["model/tiny"], "write model=tiny"),
        (["tiny"], "write model=tiny"),
        (["--model", "tiny"], "write model=…"),
        (["model=[tiny,tiny-wide]"], "write model=tiny,tiny-wide with -m"),
        (["model="], "choose one of qwen2.5-32b"),
        (["model=null"], "choose one of qwen2.5-32b"),
        (["-m", "model=tiny,1"], "choose one of qwen2.5-32b"),
        (["~model=true"], "write ~model alone"),
        ([f"{K}: 0.4"], f"write {K}=0.4"),
        ([f"{K}:0.4"], f"write {K}=0.4"),
        ([K, "=", "0.4"], f"write {K}=0.4 without spaces"),
        ([K, "=0.4"], f"write {K}=0.4 without spaces"),
        ([f"{K}=", "0.4"], f"write {K}=0.4 without spaces"),
        ([f"{K} =0.4"], f"write {K}=0.4"),
        ([K], f"write {K}=…"),
        ([f"{K}=0.2,", "0.4"], f"write {K}=0.2,0.4 without spaces"),
        ([f"{K}=0.2", ",0.4"], f"write {K}=0.2,0.4 without spaces"),
        ([f"{K}="], "write null for none"),
        (["seed="], "write null for none"),
        (["=0.4"], "has no key"),
        (["--lr=1e-3"], "write actor_rollout_ref.actor.optim.lr=1e-3"),
        (["--seed", "3"], "write seed=… with an = and without dashes"),
        (["-K", "0.4"], f"write {K}=…"),
        (["quantile_k"], f"write {K}=…"),
        (["multirun", "seed=0,1"], "write -m"),
        (["-M", "seed=0,1"], "write -m"),
        (["--multi-run", "seed=0,1"], "write -m"),
        (["--cfg", "jop"], "choose from 'job', 'hydra', 'all'"),
        (["-sc"], "needs one of install=SHELL or uninstall=SHELL or query=SHELL"),
        (["-sc", "install=dos"], "with a shell of bash, fish, zsh"),
        (["--config-path", "/mine/first.yaml"], "write --config-path=/mine --config-name=first"),
        (["-m", "hydra.sweep.dir=out"], "sweep.root"),
        (["hydra.run.dir=out"], "sweep.root"),
        (["hydra.job.chdir=true"], "sweep.root"),
        (["-m", "hydra/launcher=basic"], "choose one of local, slurm"),
        (["-m", "hydra/sweeper=basic"], "choose one of parts, optuna"),
    ],
)
def test_a_mistake_is_named_with_its_fix(typed: list[str], fix: str) -> None:
    with pytest.raises(MistypedError) as refused:
        read(typed)
    assert fix in str(refused.value)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    "typed",
    [
        [],
        ["-m"],
        ["-m", "+experiment=fig9", "seed=11,12"],
        ["--multirun", f"{K}=range(0.1,0.5,0.1)"],
        [f"++{K}=0.4", "~guard", "seed=1"],
        ["model=qwen3-8b-base", "reading=dapo_script", "hydra/launcher=slurm", "slurm.options={mail-type: END}"],
        ["--cfg", "job", "seed=1"],
        ["--help"],
        ["--info"],
        ["tracking.entity=''"],
        ["regularizer=glob(clip*)", "-m"],
    ],
)
def test_what_is_right_stays(typed: list[str]) -> None:
    assert read(typed) == typed


def test_options_may_stand_between_overrides() -> None:
    assert read(["seed=0,1", "-m", "sweep.dry_run=true"]) == ["--multirun", "seed=0,1", "sweep.dry_run=true"]
    assert read(["seed=0", "--cfg", "job", "model=tiny"]) == ["--cfg", "job", "seed=0", "model=tiny"]


@given(st.lists(st.text(st.sampled_from("a0.=:,+~-[]{}()'\" m"), max_size=8), max_size=4))
def test_any_words_are_read_or_refused_in_a_sentence(words: list[str]) -> None:
    assert "\n" not in _refusal(["seed=1", *words])


def _refusal(words: list[str]) -> str:
    try:
        read(words)
    except MistypedError as error:
        return str(error)
    return ""


def test_a_key_that_is_given_twice_is_named() -> None:
    (sentence,) = repeated([f"{K}=0.2", "seed=1", f"++{K}=0.4", "seed=1"])
    assert f"{K}=0.2,0.4 with -m" in sentence
    assert "the last value counts, 0.4" in sentence


@pytest.mark.parametrize(
    ("value", "fix"),
    [
        ([0.2, 0.4], "key=0.2,0.4 with -m"),
        ("0-4", "'key=range(0,5)' with -m"),
        ("0:5", "'key=range(0,5)' with -m"),
        ("0..4", "'key=range(0,5)' with -m"),
        ("0.2 0.4", "key=0.2,0.4 with -m"),
        ("0.2;0.4", "key=0.2,0.4 with -m"),
        ("0.4", "key=0.4 without inner quotes"),
        ("1e-6", "key=1e-6 without inner quotes"),
        ("fast", ""),
        (0.3, ""),
        (None, ""),
    ],
)
def test_a_value_that_looks_like_several_gets_a_hint(value: object, fix: str) -> None:
    hint = axis_hint(ConfigError("key", value, "give a number"))
    assert fix in hint
    assert bool(hint) == bool(fix)


@pytest.mark.parametrize(
    ("word", "why"),
    [
        ("seed=[1", "do not match"),
        ("seed=range(5", "do not match"),
        (f"{K}='0.4", "is not closed"),
        ("seed=1,", "beside a comma"),
        ("seed==1", "one ="),
        ("x=a:b c", "in quotes"),
    ],
)
def test_what_cannot_be_parsed_says_why(word: str, why: str) -> None:
    assert why in unreadable(word)


def test_the_tree_knows_its_groups_and_keys() -> None:
    assert {"experiment", "model", "regularizer", "site"} <= set(groups())
    assert is_group("model")
    assert not is_group("")
    assert "fig9" in options("experiment")
    assert nearest("quantile_k", known_keys()) == K
    assert nearest("lr", known_keys()) == "actor_rollout_ref.actor.optim.lr"
    assert nearest("optim.lr", known_keys()) == "actor_rollout_ref.actor.optim.lr"
