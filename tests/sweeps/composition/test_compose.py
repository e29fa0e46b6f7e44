"""Composing many jobs at once gives what Hydra gives for each of them."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import hypothesis.strategies as st
import pytest
from hydra import initialize_config_dir
from hydra.core.config_loader import ConfigLoader
from hydra.core.global_hydra import GlobalHydra
from hydra.core.override_parser.types import Quote, QuotedString
from hydra.errors import HydraException
from hydra.types import RunMode
from hypothesis import HealthCheck, Phase, example, given, settings
from omegaconf import DictConfig
from omegaconf.errors import OmegaConfBaseException

from sweeps.composition.compose import Config, compose_jobs, resolved
from tests.support.configs import TREE

pytestmark = pytest.mark.slow

# What a tree may hold: groups, one at a package, values that hang on others over several steps, lists, text.
FILES = {
    "config.yaml": """
defaults: [_self_, loss: plain, {optional/unit@side.a: small}, {optional/unit@side.b: small}]
k: -1.0
seed: 0
switch: false
text: it is
maybe: null
names: [x, y]
deep: {one: {two: 2, three: [1, 2]}, same: "${.one.two}"}
seeds: {data: "${seed}", engine: "${seeds.data}", name: "run ${seeds.engine} of ${text}"}
listed: ["${k}", fixed, "${oc.env:HOME}"]
section: ${deep.one}
folder: ${oc.env:QAE_NOT_SET,runs}
""",
    "loss/plain.yaml": "# @package _global_\nlr: 0.1\nloss: {name: plain, scale: '${lr}'}\n",
    "loss/sum.yaml": "# @package _global_\nlr: 0.2\nk: 0.5\nloss: {name: sum, scale: 2}\n",
    "loss/random.yaml": "# @package _global_\nloss: {name: '${oc.select:text,nothing}', scale: '${k}'}\n",
    "optional/unit/small.yaml": "size: 1\nof: ${seed}\n",
    "optional/unit/large.yaml": "size: 9\nof: ${seed}\n",
}

hostile = st.text(st.sampled_from("a0 '\"\\$,=:[]{}()%~+*#ä\n\t"), max_size=6).map(
    lambda text: QuotedString(text.replace("${", "$"), Quote.single).with_quotes()
)
plain_values = st.one_of(
    st.sampled_from(
        ["null", "true", "0.40", "1e-3", "nan", "inf", "-1", "word", "a/b-c.d", "[]", "[1,[2,x]]", "''", "01"]
    ),
    st.integers(-9, 9).map(str),
    st.floats(-2, 2).map(repr),
    hostile,
)
odd_values = st.sampled_from(["${seed}", "'${deep.one.two} and ${k}'", "{two:5}", "{new:1}", "???", "'\\${seed}'"])
leaves = (
    "k",
    "seed",
    "switch",
    "text",
    "maybe",
    "names",
    "lr",
    "deep.one.two",
    "deep.one.three",
    "seeds.data",
    "loss.scale",
)
keys = st.sampled_from(
    [*leaves, *leaves, "side.a.size", "deep.one", "deep.same", "section.two", "section", "listed", "names.0", "missing"]
)
values = st.builds(lambda key, value: f"{key}={value}", keys, st.one_of(plain_values, plain_values, odd_values))
added = st.builds(
    lambda sign, key, value: f"{sign}{key}={value}",
    st.sampled_from(["+", "++"]),
    st.sampled_from(["k", "new", "deep.new", "a.b.c", "deep.one.two", "text.inside"]),
    plain_values,
)
deleted = st.sampled_from(["~maybe", "~k", "~deep.one.two", "~loss", "~nothing", "~seed=0", "~optional/unit@side.b"])
groups = st.sampled_from(
    ["loss=sum", "loss=plain", "loss=random", "loss=none", "optional/unit@side.a=large", "+optional/unit@side.c=large",
     "optional/unit@side.a:side.d=small", "+optional/unit=small"]
)  # fmt: skip
jobs_of_keys = st.lists(st.lists(values, max_size=4), min_size=1, max_size=4)
jobs_of_all = st.lists(st.lists(st.one_of(values, added, deleted, groups), max_size=4), min_size=1, max_size=4)


@st.composite
def jobs_of_one_shape(draw: st.DrawFn) -> list[list[str]]:
    """A sweep as it mostly is: the same keys in each job, a group beside them."""
    shape = draw(st.lists(st.sampled_from([*leaves, "side.b.size"]), min_size=1, max_size=4))
    fixed = draw(st.lists(st.one_of(groups, added), max_size=1))
    count = draw(st.integers(2, 5))
    return [[*fixed, *(f"{key}={draw(plain_values)}" for key in shape)] for _ in range(count)]


@dataclass(frozen=True)
class Tree:
    loader: ConfigLoader
    master: DictConfig

    @classmethod
    def read(cls, folder: Path) -> "Tree":
        with initialize_config_dir(str(folder), version_base="1.3"):
            loader = GlobalHydra.instance().config_loader()
            return cls(loader, loader.load_configuration("config", [], RunMode.MULTIRUN))

    def by_hydra(self, jobs: Sequence[Sequence[str]]) -> list[Config]:
        return [resolved(self.loader.load_sweep_config(self.master, list(job))) for job in jobs]

    def by_us(self, jobs: Sequence[Sequence[str]]) -> list[Config]:
        return compose_jobs(self.loader, self.master, jobs)


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Tree:
    folder = tmp_path_factory.mktemp("tree")
    for name, content in FILES.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(content)
    return Tree.read(folder)


def unless_refused(compose: Callable[[Sequence[Sequence[str]]], list[Config]], jobs: Sequence[Sequence[str]]) -> object:
    try:
        return compose(jobs)
    except (HydraException, OmegaConfBaseException):
        return "refused"


def assert_equal(tree: Tree, jobs: Sequence[Sequence[str]]) -> None:
    # repr tells 1, 1.0 and true apart, takes nan for nan, and sees the order of keys.
    assert repr(unless_refused(tree.by_us, jobs)) == repr(unless_refused(tree.by_hydra, jobs)), jobs


@settings(
    deadline=None,
    max_examples=20,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=[HealthCheck.too_slow],
)
@given(jobs=st.one_of(jobs_of_one_shape(), jobs_of_keys, jobs_of_all))
@example(jobs=[["seed=1", "seed=2"], ["seed=2", "seed=1"]])
@example(jobs=[["seeds.data=3"], ["seeds.data=4"], ["seed=5"]])
@example(jobs=[["deep.one.two=3"], ["deep.one.two=4"]])
@example(jobs=[["deep.one={two:3}", "deep.one.two=4"], ["deep.one.two=4", "deep.one={two:3}"]])
@example(jobs=[["lr=1", "loss=sum"], ["lr=2", "loss=plain"], ["lr=3", "loss=plain"], ["loss=random", "lr=3"]])
@example(jobs=[["optional/unit@side.a=large", "seed=1"], ["optional/unit@side.a=large", "seed=2"]])
@example(jobs=[["text='${seed}'"], ["text='\\${seed}'"], ["text=plain"]])
@example(jobs=[["+new=1"], ["+new=[1]"], ["++k=[1]"], ["++k=2"], ["~k"]])
@example(jobs=[["names=[a]"], ["names=[a,b,c]"], ["names=word"]])
def test_jobs_composed_together_equal_those_that_hydra_composes(tree: Tree, jobs: list[list[str]]) -> None:
    assert_equal(tree, jobs)


def test_the_tree_of_the_project_is_composed_as_by_hydra() -> None:
    jobs = [
        ["algorithm.quantile_k=0.4", "seed=1"],
        ["algorithm.quantile_k=0.40", "seed=2"],
        ["model=qwen3-8b-base", "regularizer=kl_cov", "seed=1", "data.max_response_length=1024"],
        ["model=qwen3-8b-base", "regularizer=kl_cov", "seed=2", "data.max_response_length=2048"],
        ["model=qwen3-8b-base", "regularizer=kl_cov", "seed=3", "data.max_response_length=4096"],
        ["+experiment=reward_noise", "seed=2", "++trainer.new_key='a,b'"],
        ["+experiment=reward_noise", "seed=3", "++trainer.new_key='c\\'d'"],
    ]
    assert_equal(Tree.read(TREE), jobs)
