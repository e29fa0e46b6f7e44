"""A run's id says what it computes and nothing else."""

import copy
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qae import operational
from sweeps.run_store.identity import NEUTRAL, identity, run_id
from tests.support.configs import embedded_mapping, verl_mapping

BASE = embedded_mapping()


def changed(dotted: str, value: object) -> dict[str, Any]:
    config: dict[str, Any] = copy.deepcopy(BASE)
    *path, last = dotted.split(".")
    section = config
    for key in path:
        section = section.setdefault(key, {})
    section[last] = value
    return config


def test_an_id_is_12_hex_digits_and_does_not_depend_on_the_order_of_keys() -> None:
    assert len(run_id(BASE)) == 12
    assert int(run_id(BASE), 16) >= 0
    assert run_id(dict(reversed(BASE.items()))) == run_id(BASE)


@pytest.mark.parametrize("section", sorted(operational.SECTIONS))
def test_operational_sections_do_not_count(section: str) -> None:
    assert run_id(changed(section, {"anything": 1})) == run_id(BASE)


@pytest.mark.parametrize("key", sorted(operational.KEYS))
def test_operational_keys_do_not_count(key: str) -> None:
    assert run_id(changed(key, 12345)) == run_id(BASE)


@pytest.mark.parametrize("key", [key for key in identity(BASE) if key not in ("algorithm.advantage", "backend")])
def test_every_other_key_counts(key: str) -> None:
    before = identity(BASE)[key]
    value: object = 0.123 if key == "algorithm.quantile_k" else not before if isinstance(before, bool) else "another"
    assert run_id(changed(key, value)) != run_id(BASE)


@pytest.mark.parametrize("key", sorted(NEUTRAL))
def test_a_key_at_its_neutral_value_is_as_good_as_none(key: str) -> None:
    assert key not in identity(BASE)
    assert run_id(changed(key, 0.25)) != run_id(BASE)


@given(st.integers(-(10**6), 10**6))
def test_equal_numbers_are_the_same_whatever_their_type(value: int) -> None:
    assert run_id(changed("seed", value)) == run_id(changed("seed", float(value)))


@given(st.floats(allow_nan=False, allow_infinity=False).filter(lambda k: not 0 < k < 1))
def test_every_k_outside_0_1_is_the_mean(k: float) -> None:
    assert run_id(changed("algorithm.quantile_k", k)) == run_id(BASE)


def test_the_definition_counts_only_where_there_is_a_quantile() -> None:
    linear = changed("algorithm.quantile_definition", "linear")
    assert run_id(linear) == run_id(BASE)
    linear["algorithm"]["quantile_k"] = 0.4
    assert run_id(linear) != run_id(changed("algorithm.quantile_k", 0.4))


@pytest.mark.slow
def test_what_the_quantile_is_taken_over_counts_where_it_makes_a_difference() -> None:
    assert run_id(changed("algorithm.quantile_on", "accuracy")) == run_id(BASE)  # the mean
    shaped = verl_mapping("algorithm.quantile_k=0.4")
    assert run_id(verl_mapping("algorithm.quantile_k=0.4", "algorithm.quantile_on=accuracy")) != run_id(shaped)
    algorithm = cast("dict[str, object]", shaped["algorithm"])
    before_it_existed = {key: value for key, value in algorithm.items() if key != "quantile_on"}
    assert run_id({**shaped, "algorithm": before_it_existed}) == run_id(shaped)
    embedded = changed("algorithm.quantile_k", 0.4)  # its scores are accuracies
    before = run_id(embedded)
    embedded["algorithm"]["quantile_on"] = "accuracy"
    assert run_id(embedded) == before


@pytest.mark.slow
def test_where_data_lie_and_what_computes_do_not_count() -> None:
    base = run_id(verl_mapping())
    assert run_id(verl_mapping("data.train_files=/elsewhere/dapo-math-17k.parquet", "resources.nodes=2")) == base
    assert run_id(verl_mapping("data.train_files=data/another.parquet")) != base


def test_ids_are_stable_over_versions() -> None:
    """A change here means that everybody's finished runs are computed again: say so in the changelog."""
    config = {"backend": "tiny", "seed": 0, "algorithm": {"quantile_k": 0.40}, "data": {"train_batch_size": 64.0}}
    assert run_id(config) == "3fa07807ad8a"
