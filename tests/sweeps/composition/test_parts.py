"""A sweep is a union of products, and the command line has the last word."""

import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser

from qae.errors import ConfigError
from sweeps.composition import parts as sweep_parts
from sweeps.composition.parts import checked_parts, settled

PARTS: list[dict[str, list[object]]] = [{"algorithm.quantile_k": [-1, 0.2]}, {"regularizer": ["clip_symmetric"]}]

PARSER = OverridesParser.create()


def expand(
    arguments: list[str], parts: list[dict[str, list[object]]], name: str = "default"
) -> tuple[list[list[str]], str]:
    expansion = sweep_parts.expand(PARSER.parse_overrides(arguments), parts, name, PARSER)
    return expansion.jobs, expansion.rule


def test_the_parts_alone_are_their_union() -> None:
    jobs, rule = expand([], PARTS)
    assert jobs == [["algorithm.quantile_k=-1"], ["algorithm.quantile_k=0.2"], ["regularizer=clip_symmetric"]]
    assert rule == "The sweep is the union of 2 parts (sweep.parts)."


def test_other_keys_are_combined_with_every_part() -> None:
    jobs, _ = expand(["seed=0,1", "trainer.test_freq=5"], PARTS)
    assert len(jobs) == 6
    assert all("trainer.test_freq=5" in job for job in jobs)
    assert sum("seed=1" in job for job in jobs) == 3


@pytest.mark.parametrize("prefix", ["", "++"])
def test_naming_a_key_of_the_parts_replaces_them(prefix: str) -> None:
    jobs, rule = expand([f"{prefix}algorithm.quantile_k=0.2,0.4", "seed=0,1,2"], PARTS)
    assert len(jobs) == 6
    assert not any("regularizer" in override for job in jobs for override in job)
    assert "algorithm.quantile_k" in rule


@pytest.mark.parametrize(("typed", "seeds"), [("seed=0,1", ["0", "1"]), ("seed=3", ["3"])])
def test_a_typed_seed_replaces_that_of_the_default_sweeps_parts_and_nothing_else(typed: str, seeds: list[str]) -> None:
    parts: list[dict[str, list[object]]] = [{**part, "seed": [100, 101, 102]} for part in PARTS]
    jobs, rule = expand([typed], parts)
    arms = ("algorithm.quantile_k=-1", "algorithm.quantile_k=0.2", "regularizer=clip_symmetric")
    assert sorted(jobs) == sorted([arm, f"seed={seed}", "sweep.name=default-seed"] for arm in arms for seed in seeds)
    assert "seed" in rule
    alone, _ = expand([typed, "algorithm.quantile_k=0.4"], parts)
    assert len(alone) == len(seeds)
    assert not any("regularizer" in override for job in alone for override in job)


def test_a_part_may_be_a_product() -> None:
    jobs, _ = expand([], [{"a": [1, 2], "b": [3, 4]}, {"a": [1], "b": [3]}])
    assert jobs == [["a=1", "b=3"], ["a=1", "b=4"], ["a=2", "b=3"], ["a=2", "b=4"]]


@pytest.mark.parametrize("wrong", ["K", {"seed": [1]}, [{"seed": 1}], [{"seed": []}], [["seed"]]])
def test_malformed_parts_are_refused(wrong: object) -> None:
    with pytest.raises(ConfigError, match=r"sweep\.parts"):
        checked_parts(wrong)


@pytest.mark.parametrize("value", [None, True, 0.25, 1e-4, "clip_higher", "qwen2.5-32b", "it's", "a,b", [2, 5]])
def test_a_part_may_hold_any_value_of_yaml(value: object) -> None:
    (job,), _ = expand([], [{"key": [value]}])
    (override,) = PARSER.parse_overrides(job)
    assert override.value() == value


@pytest.mark.parametrize(
    ("arguments", "name", "given"),
    [
        (["algorithm.quantile_k=0.2,0.4", "seed=0,1", "trainer.test_freq=5"], "quantile_k-seed", "default"),
        (["algorithm.quantile_k=0.2", "trainer.test_freq=5"], "quantile_k", "default"),
        (["regularizer=gspo,kl_cov"], "noise-regularizer", "noise"),
    ],
)
def test_a_sweep_of_the_command_line_is_named_after_its_keys(arguments: list[str], name: str, given: str) -> None:
    jobs, _ = expand(arguments, PARTS, given)
    assert all(f"sweep.name={name}" in job for job in jobs)


def test_a_name_that_is_typed_stays() -> None:
    jobs, _ = expand(["algorithm.quantile_k=0.2,0.4", "sweep.name=mine"], PARTS)
    assert all([o for o in job if o.startswith("sweep.name")] == ["sweep.name=mine"] for job in jobs)
    jobs, _ = expand(["seed=0,1"], PARTS)
    assert not any(override.startswith("sweep.name") for job in jobs for override in job)


FIG9: list[dict[str, list[object]]] = [{"algorithm.quantile_k": [0.2, 0.4, 0.6, 0.8], "seed": [11, 12, 13]}]


def test_an_axis_multiplies_an_experiment() -> None:
    jobs, rule = expand(["+experiment=fig9", "seed=11,12,13"], FIG9, "fig9")
    assert len(jobs) == 12
    assert {job[0] for job in jobs} == {f"algorithm.quantile_k={k}" for k in (0.2, 0.4, 0.6, 0.8)}
    assert "seed has the values of the command line" in rule


@pytest.mark.parametrize("typed", ["algorithm.quantile_k=0.3", "++algorithm.quantile_k=0.3"])
def test_an_axis_of_an_experiment_that_is_named_is_replaced(typed: str) -> None:
    jobs, rule = expand(["+experiment=fig9", typed], FIG9, "fig9")
    assert [job[0] for job in jobs] == ["seed=11", "seed=12", "seed=13"]
    assert all(typed in job and "sweep.name=fig9-quantile_k" in job for job in jobs)
    assert "algorithm.quantile_k" in rule


def test_an_axis_is_replaced_in_every_part_and_equal_parts_are_run_once() -> None:
    response: list[dict[str, list[object]]] = [
        {"algorithm.quantile_k": [-1, 0.4], "seed": [11, 12, 13, 14]},
        {"seed": [11, 12, 13], "algorithm.quantile_k": [0.2, 0.6]},
        {"regularizer": ["clip_off"]},
    ]
    jobs, _ = expand(["+experiment=k", "seed=1,2"], response, "k")
    assert len(jobs) == 2 * 2 + 2 * 2 + 2
    jobs, _ = expand(["+experiment=k", "algorithm.quantile_k=0.3"], response, "k")
    assert len(jobs) == 4 + 1
    assert all("algorithm.quantile_k=0.3" in job for job in jobs)


def test_parts_that_are_typed_are_an_experiment_too() -> None:
    parts = "sweep.parts=[{regularizer:[clip_off,gspo],seed:[0,1]}]"
    jobs, _ = expand([parts, "seed=3,4,5"], [{"regularizer": ["clip_off", "gspo"], "seed": [0, 1]}])
    assert len(jobs) == 6


def test_an_unnamed_axis_leaves_the_experiment_its_name() -> None:
    jobs, rule = expand(["+experiment=fig9", "trainer.test_freq=5,10"], FIG9, "fig9")
    assert len(jobs) == 24
    assert not any(override.startswith("sweep.name") for job in jobs for override in job)
    assert rule == "The sweep is the union of 1 part (sweep.parts)."


def test_an_experiment_without_parts_is_the_command_line() -> None:
    jobs, _ = expand(["+experiment=fig9", "sweep.parts=[]", "seed=1,2"], [], "fig9")
    assert len(jobs) == 2


def test_a_range_is_an_axis_like_its_numbers() -> None:
    ranged, _ = expand(["algorithm.quantile_k=range(0.1,0.5,0.1)", "seed=0,1"], PARTS)
    listed, _ = expand(["algorithm.quantile_k=0.1,0.2,0.3,0.4", "seed=0,1"], PARTS)
    assert ranged == listed


def test_an_interval_is_for_a_search() -> None:
    with pytest.raises(ConfigError, match=r"algorithm.quantile_k='interval\(0.1,0.9\)'.*hydra/sweeper=optuna"):
        expand(["algorithm.quantile_k=interval(0.1,0.9)"], PARTS)


@pytest.mark.parametrize("argument", ["+experiment=a,b", "sweep.name=a,b", "sweep.dry_run=true,false"])
def test_what_holds_for_the_whole_sweep_has_one_value(argument: str) -> None:
    with pytest.raises(ConfigError, match="give one value"):
        settled(PARSER.parse_overrides([argument]))


def test_parts_are_read_with_what_holds_for_every_job() -> None:
    typed = PARSER.parse_overrides(["seed=0,1", "sweep.parts=[{seed:[0,1]}]", "+experiment=a"])
    assert settled(typed) == ["sweep.parts=[{seed:[0,1]}]", "+experiment=a"]
