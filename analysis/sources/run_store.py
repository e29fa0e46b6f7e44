"""Runs from a run store: the directories that the trainer writes, finished or not."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import pandas as pd
import yaml

from analysis.runs.configuration import flatten
from analysis.runs.flaw import Flaw
from analysis.runs.frames import EVALUATION_COLUMNS, METRIC_COLUMNS, RunRecord, Runs
from analysis.runs.naming import identify
from analysis.sources.errors import SourceError
from analysis.sources.folders import dead_link, entries, is_folder, real
from analysis.sources.lost import of_lost, tidied
from analysis.wording import counted_lines
from qae.files import layout, numbers
from qae.run_directory import RunDirectory, RunState, logged, read_evaluations, read_metrics

# libyaml's loader reads a configuration in half a millisecond, seven times faster than the one in Python.
_Loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def load(root: Path, run_ids: Sequence[str] | None = None) -> Runs:
    """Read runs, finished or not.

    Nothing that is damaged stops the others from being read: a run without a readable configuration is left out,
    an unreadable line or state is left out, and `Runs.notes` says so.

    Args:
        root: the run store.
        run_ids: which ones; all of the store by default.

    Raises:
        SourceError: one of them is a directory of a newer toolkit, whose numbers could be misread.
    """
    notes: list[str] = []
    if run_ids is None:
        run_ids = ids(root)
        notes += [dead_link(path) for path in _folders(root) if _leads_nowhere(path)]
    configs: dict[str, dict[str, object]] = {}
    for run_id in dict.fromkeys(run_ids):
        try:
            layout.read(root / run_id)
            configs[run_id] = _read_config(RunDirectory(root / run_id))
        except layout.LayoutError as error:
            raise SourceError(str(error)) from error
        except (OSError, ValueError, yaml.YAMLError) as error:
            notes.append(f"Run {run_id} is left out: its config.yaml cannot be read ({_first_line(error)}).")
    records: list[RunRecord] = []
    metrics: list[pd.DataFrame] = []
    evaluations: list[pd.DataFrame] = []
    flaws: list[Flaw] = []
    named = identify(configs)
    for run_id, arm in named.arms.items():
        directory = RunDirectory(root / run_id)
        state = _read_state(directory, notes)
        rows, damaged_metrics, found = _metrics(directory)
        counts, damaged_counts = _evaluations(directory)
        flaws += found
        metrics.append(rows)
        evaluations.append(counts)
        if damaged := damaged_metrics + damaged_counts:
            notes.append(
                f"Run {run_id} ({arm.shown}): {counted_lines(damaged, ' of its files')} unreadable and left out."
            )
        config = configs[run_id]
        records.append(
            RunRecord(
                run_id,
                arm,
                named.seeds[run_id],
                state.status,
                state.step,
                state.total_steps,
                config,
                directory=directory.path,
                reason=state.reason or "",
            )
        )
    return Runs(
        tuple(records),
        _concatenate(metrics, METRIC_COLUMNS),
        _concatenate(evaluations, EVALUATION_COLUMNS),
        tuple(notes),
        named.notes,
        flaws=tuple(flaws),
    )


def ids(root: Path) -> list[str]:
    """Run ids of a store in order: its folders with a configuration, each once, whatever links lead to it.

    Raises:
        SourceError: the store cannot be looked into.
    """
    found: dict[Path, str] = {}
    # Links last: a run has the name of its own folder where the store has that too.
    for path in sorted(_folders(root), key=lambda path: path.is_symlink()):
        if _has_config(path):
            found.setdefault(real(path), path.name)
    return sorted(found.values())


def is_run(path: Path) -> bool:
    """Whether a folder is a run directory: it has a configuration and something that a run writes."""
    directory = RunDirectory(path)
    written = (directory.state, directory.metrics, directory.evaluation)
    return _has_config(path) and any(file.exists() for file in written)


def _folders(root: Path) -> list[Path]:
    return entries(root) if is_folder(root) else []


def _leads_nowhere(path: Path) -> bool:
    return path.is_symlink() and not real(path).exists()


def _has_config(folder: Path) -> bool:
    try:
        return RunDirectory(folder).config.is_file()
    except OSError:  # there may be one; reading it says why it cannot be
        return True


def _read_config(directory: RunDirectory) -> dict[str, object]:
    content = yaml.load(directory.config.read_bytes(), _Loader)  # noqa: S506  # a safe loader, see above
    if not isinstance(content, Mapping):
        raise ValueError("it holds no mapping")  # noqa: TRY004  # a damaged file, not a wrong argument
    return flatten(content)


def _read_state(directory: RunDirectory, notes: list[str]) -> RunState:
    try:
        return directory.read_state_of_known_layout()
    except ValueError:
        notes.append(f"Run {directory.run_id}: its state.json cannot be read; it counts as not started.")
        return RunState()


def _metrics(directory: RunDirectory) -> tuple[pd.DataFrame, int, list[Flaw]]:
    """Tidy metrics of a run, how many lines were damaged, and what of its values is no number."""
    lines = read_metrics(directory)
    steps, names, values, lost = tidied(
        (step, name, value) for step, values in logged(lines) for name, value in values.items()
    )
    frame = pd.DataFrame({"run": directory.run_id, "step": steps, "name": names, "value": values})
    return frame, lines.damaged, of_lost(directory.run_id, lost)


def _evaluations(directory: RunDirectory) -> tuple[pd.DataFrame, int]:
    """Evaluation counts of a run and how many lines were damaged or are no possible counts."""
    lines = read_evaluations(directory)
    whole = [count for line in lines.records if (count := _count(line)) is not None]
    frame = pd.DataFrame(whole, columns=list(EVALUATION_COLUMNS[1:]))
    frame.insert(0, "run", directory.run_id)
    return frame, lines.damaged + len(lines.records) - len(whole)


def _count(line: Mapping[str, object]) -> tuple[object, ...] | None:
    """A line of evaluation.jsonl as a row, with numbers as numbers; None where it holds no possible counts."""
    at, n, c = numbers.step(line.get("step")), numbers.step(line.get("n")), numbers.step(line.get("c"))
    data_set, problem = line.get("data_set"), line.get("problem")
    if at is None or n is None or c is None or c > n or not (isinstance(data_set, str) and isinstance(problem, str)):
        return None
    return at, data_set, problem, n, c, numbers.number(line.get("mean_length"))


def _concatenate(frames: Iterable[pd.DataFrame], columns: Sequence[str]) -> pd.DataFrame:
    filled = [frame for frame in frames if not frame.empty]
    return pd.concat(filled, ignore_index=True) if filled else pd.DataFrame(columns=list(columns))


def _first_line(error: Exception) -> str:
    return str(error).splitlines()[0] if str(error) else type(error).__name__
