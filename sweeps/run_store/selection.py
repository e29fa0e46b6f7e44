"""Which runs a command is about: sweeps, run ids, and conditions on what the runs were given."""

import difflib
import operator
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from types import MappingProxyType

from qae.run_directory import RunDirectory, RunState, RunStatus
from sweeps.run_store.store import RunStore, StoreError, StoreLayoutError

_CONDITION = re.compile(r"\s*([A-Za-z_][\w./@-]*)\s*(==|!=|<=|>=|=|<|>)\s*(.*?)\s*", re.ASCII)
_ORDERS: Mapping[str, Callable[[float, float], bool]] = MappingProxyType(
    {"<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge}
)
_SHORTEST_PREFIX = 3


class SelectionError(ValueError):
    """A sweep, run or condition that is not there or cannot be read; its text is one sentence."""


@dataclass(frozen=True)
class StoredRun:
    """A run of the store.

    Attributes:
        directory: where it lives.
        sweep: the sweep launched last that has it; None where no manifest names it.
        overrides: what that sweep set for it.
        label: the run in a few words.
        state: where it stands.
    """

    directory: RunDirectory
    sweep: str | None
    overrides: tuple[str, ...]
    label: str
    state: RunState

    @property
    def run_id(self) -> str:
        """Of the run."""
        return self.directory.run_id

    @cached_property
    def config(self) -> Mapping[str, object]:
        """What the run computes, as config.yaml has it; empty where it cannot be read."""
        import yaml

        try:
            config = yaml.load(self.directory.config.read_bytes(), Loader=yaml.CSafeLoader)
        except (OSError, yaml.YAMLError):
            return {}
        return config if isinstance(config, dict) else {}


@dataclass(frozen=True)
class Condition:
    """``KEY OPERATOR VALUE``, such as ``algorithm.quantile_k>0.4`` or ``regularizer=clip_cov``.

    Attributes:
        key: of the configuration, a group or the last part of a key.
        sign: one of == != < <= > >=.
        value: as typed.
    """

    key: str
    sign: str
    value: str

    @classmethod
    def parse(cls, text: str) -> "Condition":
        """Read one.

        Raises:
            SelectionError: it has another form, or orders what is no number.
        """
        match = _CONDITION.fullmatch(text)
        if match is None or match[3][:1] in ("", "=", "<", ">"):
            raise SelectionError(f"'{text}' is no condition; write KEY=VALUE or KEY>VALUE, with one of = != < <= > >=")
        condition = cls(match[1], "==" if match[2] == "=" else match[2], match[3])
        if condition.sign in _ORDERS and _number(condition.value) is None:
            raise SelectionError(f"'{text}' cannot be used: {condition.sign} compares numbers")
        return condition

    def holds(self, run: StoredRun) -> bool:
        """Whether a run meets the condition. A run without the key does not."""
        found = self.value_of(run)
        if found is None:
            return False
        one, other = _number(found), _number(self.value)
        if self.sign in _ORDERS:
            return one is not None and other is not None and _ORDERS[self.sign](one, other)
        equal = one == other if one is not None and other is not None else found == self.value
        return equal is (self.sign == "==")

    def value_of(self, run: StoredRun) -> str | None:
        """What the run has for the key: what the sweep set, else its configuration's, which takes a file to read."""
        for override in reversed(run.overrides):
            key, _, text = override.lstrip("+").partition("=")
            if self.key in (key, key.rpartition(".")[2]):
                return text.strip("'\"")
        flat = flattened(run.config)
        candidates = [key for key in (self.key, f"labels.{self.key}") if key in flat]
        candidates = candidates or [key for key in flat if key.rpartition(".")[2] == self.key]
        if len(candidates) != 1:
            return None
        value = flat[candidates[0]]
        return str(value).lower() if isinstance(value, bool) or value is None else str(value)


def flattened(config: Mapping[str, object], prefix: str = "") -> dict[str, object]:
    """A configuration by its dotted keys."""
    flat: dict[str, object] = {}
    for key, value in config.items():
        flat |= flattened(value, f"{prefix}{key}.") if isinstance(value, Mapping) else {f"{prefix}{key}": value}
    return flat


def select(store: RunStore, targets: Sequence[str] = (), where: Sequence[str] = ()) -> list[StoredRun]:
    """The runs that a command names, each once.

    Args:
        store: where they are.
        targets: names of sweeps, run ids or their beginnings; none: the whole store.
        where: conditions that all hold.

    Raises:
        SelectionError: a target that is not there, a condition that cannot be read or whose key no run has; a run of a
            newer toolkit.
    """
    conditions = [Condition.parse(text) for text in where]
    names = store.sweeps()
    of_sweep: dict[str, tuple[str, ...]] = {}
    known: dict[str, tuple[str, tuple[str, ...], str]] = {}
    for name in names:
        try:
            manifest = store.manifest(name)
        except StoreError as error:
            if name in targets:
                raise SelectionError(str(error)) from error
            continue  # its runs are listed all the same, without their labels
        of_sweep[name] = tuple(run.id for run in manifest.runs)
        for run in manifest.runs:
            known.setdefault(run.id, (name, run.overrides, manifest.label(run)))
    ids = _ids(store, targets, names, of_sweep)
    runs = []
    for run_id in ids:
        directory = store.directory(run_id)
        sweep, overrides, label = known.get(run_id, (None, (), ""))
        runs.append(StoredRun(directory, sweep, overrides, label, _state(store, directory)))
    for condition in conditions:
        left = [run for run in runs if condition.holds(run)]
        if runs and not left and all(condition.value_of(run) is None for run in runs):
            raise SelectionError(_no_such_key(condition.key, runs[0]))
        runs = left
    return runs


def _ids(
    store: RunStore, targets: Sequence[str], names: Sequence[str], of_sweep: Mapping[str, Sequence[str]]
) -> Sequence[str]:
    if targets and all(target in of_sweep for target in targets):
        return list(dict.fromkeys(run_id for target in targets for run_id in of_sweep[target]))
    everything = [directory.run_id for directory in store.runs()]
    if not targets:
        if not everything:
            raise SelectionError(f"no runs in {store.root}; `python sweep.py -m` makes some")
        return everything
    ids: dict[str, None] = {}
    for target in targets:
        if target in of_sweep:
            ids |= dict.fromkeys(of_sweep[target])
            continue
        long_enough = len(target) >= _SHORTEST_PREFIX
        found = [run_id for run_id in everything if long_enough and run_id.startswith(target)]
        if len(found) != 1:
            raise SelectionError(_missing(store, target, names, found))
        ids[found[0]] = None
    return list(ids)


def _missing(store: RunStore, target: str, names: Sequence[str], found: Sequence[str]) -> str:
    if found:
        return (
            f"'{target}' is the beginning of {len(found)} run ids, such as {found[0]} and {found[1]}; give more of it"
        )
    close = difflib.get_close_matches(target, names, n=1)
    hint = f"did you mean {close[0]}?" if close else f"there are the sweeps {', '.join(names) or '(none)'}"
    return f"no sweep and no run '{target}' in {store.root}; {hint}"


def _no_such_key(key: str, run: StoredRun) -> str:
    flat = flattened(run.config)
    alike = [name for name in flat if name.rpartition(".")[2] == key]
    if len(alike) > 1:
        return f"'{key}' is the end of several keys, {', '.join(alike)}; give the whole one"
    ends = {name.rpartition(".")[2]: name for name in flat}
    close = difflib.get_close_matches(key, [*flat, *ends], n=1)
    hint = (
        f"did you mean {ends.get(close[0], close[0])}?" if close else "`qae status --json` shows what runs were given"
    )
    return f"no run has '{key}'; {hint}"


def _state(store: RunStore, directory: RunDirectory) -> RunState:
    try:
        return store.state(directory)
    except StoreLayoutError as error:
        raise SelectionError(str(error)) from error
    except StoreError as error:
        return RunState(RunStatus.FAILED, reason=str(error))


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None
