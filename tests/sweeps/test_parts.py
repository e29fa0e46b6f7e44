"""A sweep is a union of products, and the command line has the last word."""

import pytest

from qae.errors import ConfigError
from sweeps.parts import checked_parts, expand

PARTS: list[dict[str, list[object]]] = [{"algorithm.quantile_k": [-1, 0.2]}, {"regularizer": ["clip_symmetric"]}]


def test_the_parts_alone_are_their_union() -> None:
    jobs, rule = expand([], PARTS)
    assert jobs == [["algorithm.quantile_k=-1"], ["algorithm.quantile_k=0.2"], ["regularizer=clip_symmetric"]]
    assert "2 default parts" in rule


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


def test_a_part_may_be_a_product() -> None:
    jobs, _ = expand([], [{"a": [1, 2], "b": [3, 4]}, {"a": [1], "b": [3]}])
    assert jobs == [["a=1", "b=3"], ["a=1", "b=4"], ["a=2", "b=3"], ["a=2", "b=4"]]


@pytest.mark.parametrize("wrong", ["K", {"seed": [1]}, [{"seed": 1}], [{"seed": []}], [["seed"]]])
def test_malformed_parts_are_refused(wrong: object) -> None:
    with pytest.raises(ConfigError, match=r"sweep\.parts"):
        checked_parts(wrong)
