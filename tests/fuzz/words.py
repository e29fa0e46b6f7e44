"""Targets of what a user types and writes: command lines of sweep.py, values of a configuration."""

import copy
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from hypothesis import strategies as st

from qae.errors import ConfigError
from qae.nested import leaves
from sweeps import trainers
from sweeps.composition import toolkit_keys
from sweeps.composition.tree import groups, known_keys, options
from sweeps.run_store.identity import run_id
from sweeps.worker import run_checks
from tests.fuzz.damage import JSON
from tests.fuzz.target import Judge
from tests.support.configs import embedded_mapping
from tests.support.forks import SWEEP, Forks, forks_of

_MISTYPED = 2
# Never typed here: they would start runs, write elsewhere, or plan what takes minutes.
_LEFT_OUT = ("sweep.dry_run",)
_WORDS = st.sampled_from(
    ["null", "true", "false", "nan", "inf", "-inf", "0", "-1", "1e-3", "1_000", "0x10", "0.4", ".4,.8", "[0.4,0.8]",
     "[]", "{}", "{a:1}", "''", '"a b"', "choice(1,2)", "range(0,3)", "glob(*)", "shuffle(1,2)", "interval(0,1)",
     "${seed}", "${nothing}", "${oc.env:HOME}", "${now:%Y}", "${", "???", "a=b", "mean", "1,", ",1", "é", "∞", "/etc",
     "../..", "1" * 400]
)  # fmt: skip
_PLAIN = st.characters(exclude_categories=["Cs"], exclude_characters="\0")
_FLAGS = (
    ["-m"],
    ["--cfg", "job"],
    ["--resolve"],
    ["--info"],
    ["-p", "algorithm"],
    ["--config-dir", "nowhere"],
    ["--seed"],
)


@contextmanager
def command_lines(folder: Path) -> Iterator[Judge]:
    """A plan or a refusal in a sentence with status 2; nothing is written either way."""
    keys = [key for key in (*known_keys(), *groups()) if key not in _LEFT_OUT]
    choices = {group: options(group) for group in groups()}

    right = st.one_of(
        *(
            st.sampled_from(options(group)).map(f"{group}={{}}".format)
            for group in ("regularizer", "guard", "controller")
        ),
        st.sampled_from(["0.2", "0.4", "-1", "1.5", "0"]).map("algorithm.quantile_k={}".format),
        st.sampled_from(["tabular", "tiny", "qwen3-8b-base", "qwen3-random-tiny"]).map("model={}".format),
        st.integers(0, 2**31).map("seed={}".format),
        st.integers(1, 500).map("trainer.total_training_steps={}".format),
    )

    @st.composite
    def overrides(draw: st.DrawFn) -> str:
        key = draw(st.sampled_from(keys))
        value = draw(
            st.one_of(
                _WORDS,
                st.sampled_from([*choices.get(key, ()), "1"]),
                st.integers(-3, 9).map(str),
                st.text(_PLAIN, max_size=6),
            )
        )
        slip = draw(st.integers(0, 9))
        if slip == 0:
            at = draw(st.integers(0, len(key) - 1))
            key = key[:at] + draw(st.text(_PLAIN, max_size=1)) + key[at + 1 :]
        return (
            draw(st.sampled_from(["", "", "", "", "", "", "+", "++", "~"])) + key + ("=" if slip != 1 else " ") + value
        )

    def judge(data: st.DataObject) -> str:
        flags = data.draw(st.sampled_from([*[[]] * 8, *[["-m"]] * 8, *_FLAGS]), "flags")
        words = [
            *flags,
            *data.draw(st.lists(right, max_size=3), "right"),
            *data.draw(st.lists(overrides(), max_size=1), "any"),
        ]
        return _typed(sweep, [*words, f"sweep.root={folder / 'runs'}", "sweep.dry_run=true"], folder)

    with forks_of(SWEEP) as sweep:
        yield judge


def _typed(sweep: Forks, words: list[str], folder: Path) -> str:
    ended = sweep.run(*words, cwd=folder)
    written = list(folder.iterdir())
    for path in written:
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    assert not written, f"a dry run wrote {written}"
    if ended.returncode == 0:
        return "a plan"
    assert ended.returncode == _MISTYPED, ended
    assert ended.stderr.startswith("error: "), ended.stderr
    assert "Traceback" not in ended.stderr, ended.stderr
    return "a refusal"


@contextmanager
def configurations(folder: Path) -> Iterator[Judge]:  # noqa: ARG001  # nothing is written
    """Values of any type in a composed configuration: a run id and a number of steps, or a refusal."""
    bases = [
        embedded_mapping("sweep.dry_run=true", groups=choice)
        for choice in (
            ("model=tabular", "guard=entropy", "controller=entropy_band"),
            ("model=tiny", "regularizer=kl_cov"),
            ("model=qwen3-8b-base", "guard=entropy"),
            ("model=qwen3-random-tiny",),
        )
    ]
    names = [sorted(name for name, _ in leaves(base)) for base in bases]

    def judge(data: st.DataObject) -> str:
        which = data.draw(st.integers(0, len(bases) - 1), "model")
        config = copy.deepcopy(dict(bases[which]))
        for name in data.draw(st.lists(st.sampled_from(names[which]), min_size=1, max_size=2, unique=True), "keys"):
            _set(config, name.split("."), data.draw(JSON, name))
        try:
            toolkit_keys.check(config)
            run_checks.check(config)
        except ConfigError:
            return "a refusal"
        assert len(run_id(config)) == len(run_id(bases[which]))
        assert trainers.of(config).total_steps(config) >= 0
        return "a run"

    yield judge


def _set(config: dict[str, object], path: list[str], value: object) -> None:
    inner = config
    for name in path[:-1]:
        section = inner.get(name)
        if not isinstance(section, Mapping):
            return
        inner[name] = inner = dict(section)
    inner[path[-1]] = value
