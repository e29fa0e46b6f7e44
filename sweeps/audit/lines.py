"""What is wrong with files of JSON lines: torn and damaged lines, missing and doubled steps."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from qae import metrics
from qae.files import numbers
from qae.files.json_lines import JsonLines, loads, parse
from qae.run_directory import evaluations_that_count, metrics_that_count
from sweeps.audit.finding import AGAIN, Finding, Kind, Mend, error, warning

# What a second computation of a step measures differently; everything else is equal, bit for bit.
_TIMES = ("time", "timing_s/", "perf/")
_SHOWN = 3
_PASS_AT_1 = metrics.pass_at(1).name


@dataclass(frozen=True)
class Lines:
    """A file of JSON lines.

    Attributes:
        name: of the file.
        exists: whether it is there.
        whole: every line that has its end, in order.
        damaged: numbers of such lines that cannot be read, from 1.
        torn: bytes of a last line without its end; a killed writer leaves one.
    """

    name: str
    exists: bool
    whole: JsonLines
    damaged: tuple[int, ...]
    torn: int

    @cached_property
    def steps(self) -> list[int]:
        """The step of each line, in order; a line without one has none."""
        found = (numbers.step(record.get("step")) for record in self.whole.records)
        return [step for step in found if step is not None]

    @cached_property
    def counted(self) -> dict[int, dict[str, object]]:
        """Of a metrics file the lines that count, by step, in order."""
        return {int(str(record["step"])): record for record in metrics_that_count(self.whole).records}


def split(name: str, content: bytes | None) -> Lines:
    """Read a file of JSON lines.

    Args:
        name: of the file.
        content: all of it; None where it is not there.
    """
    if content is None:
        return Lines(name, False, JsonLines(), (), 0)
    end = content.rfind(b"\n") + 1
    lines = parse(content[:end])
    return Lines(name, True, lines, _damaged(content[:end]) if lines.damaged else (), len(content) - end)


def unreadable(lines: Lines, run: str, *, live: bool) -> list[Finding]:
    """Lines that are half written or no JSON; a run that writes right now may be in the middle of its last one."""
    findings = []
    if lines.damaged:
        numbered = _listed(lines.damaged)
        text = f"{numbered} of {lines.name} cannot be read, and what {_they(lines.damaged)} held is lost"
        findings.append(error(Kind.DAMAGED_LINE, run, f"{text}; compare it with W&B's record, or {AGAIN}"))
    if lines.torn and not live:
        text = (
            f"{lines.name} ends with {lines.torn} bytes of a half line, which no reader counts; --repair moves it away"
        )
        findings.append(warning(Kind.TORN_LINE, run, text, Mend.MOVE_TORN_LINE, lines.name))
    return findings


def missing_steps(lines: Lines, run: str) -> list[Finding]:
    """Steps that the metrics lack; they begin with step 0, the evaluated start, or with step 1."""
    findings = []
    counted = list(lines.counted)
    stepless = len(lines.whole.records) - len(lines.steps)
    if stepless:
        text = f"{stepless} of the lines of {lines.name} have no step, so their numbers belong to none"
        findings.append(error(Kind.MISSING_STEPS, run, f"{text}; {AGAIN}"))
    if counted and (gaps := _gaps(counted)):
        text = f"{lines.name} goes to step {counted[-1]} and lacks {_ranges(gaps)}"
        findings.append(error(Kind.MISSING_STEPS, run, f"{text}; {AGAIN}"))
    return findings


def doubled_steps(lines: Lines, run: str, *, alike: bool) -> list[Finding]:
    """Steps that were computed twice, after an interruption, with two results.

    Args:
        lines: metrics.jsonl.
        run: id of the run.
        alike: whether all attempts had the same machine, code and packages, where two results mean that one is wrong.
    """
    lines_of: dict[int, list[Mapping[str, object]]] = {}
    for record in lines.whole.records:
        if (step := numbers.step(record.get("step"))) is not None:
            lines_of.setdefault(step, []).append(record)
    again = {step: records for step, records in lines_of.items() if len(records) > 1}
    differing = sorted(step for step, records in again.items() if len(set(map(without_times, records))) > 1)
    if not differing:
        return []
    text = f"{lines.name} has {_ranges(differing)} with two results, and the last one counts"
    if alike:
        return [error(Kind.DOUBLED_STEP, run, f"{text}; {AGAIN}")]
    text += ": its attempts had other machines, code or packages"
    return [warning(Kind.DOUBLED_STEP, run, f"{text}; provenance.json has them")]


def repeated(lines: Lines) -> bool:
    """Whether any step was computed more than once."""
    return len(set(lines.steps)) < len(lines.steps)


def evaluations(lines: Lines, of_metrics: Lines, run: str, *, ours: bool) -> list[Finding]:
    """Evaluations that the metrics tell of and the file lacks, and counts that cannot be.

    Args:
        lines: evaluation.jsonl.
        of_metrics: metrics.jsonl.
        run: id of the run.
        ours: whether the toolkit's own trainers wrote it, which evaluate what they log.
    """
    evaluated = [step for step, values in of_metrics.counted.items() if _PASS_AT_1 in values]
    by_step: dict[int, set[tuple[str, str]]] = {}
    impossible = []
    for record in evaluations_that_count(lines.whole).records:
        step, n, c = (numbers.step(record.get(name)) for name in ("step", "n", "c"))
        if step is None or n is None or c is None or c > n:
            impossible.append(str(record.get("problem")))
        else:
            by_step.setdefault(step, set()).add((str(record.get("data_set")), str(record.get("problem"))))
    findings = []
    if impossible:
        text = f"{lines.name} has {len(impossible)} lines without a step or possible counts, such as of problem"
        findings.append(error(Kind.EVALUATION, run, f"{text} {impossible[0]}; compare it with W&B's record"))
    absent = [step for step in evaluated if step not in by_step]
    if absent and (ours or lines.exists):
        text = f"metrics.jsonl has pass@1 for {_ranges(absent)}, and {lines.name} has no counts of it"
        findings.append(error(Kind.EVALUATION, run, f"{text}; {AGAIN}"))
    every = set().union(*by_step.values()) if by_step else set()
    short = [step for step in evaluated if step in by_step and len(by_step[step]) < len(every)]
    if short and ours:
        text = f"{lines.name} lacks problems at {_ranges(short)}: {len(every)} are evaluated at other steps"
        findings.append(error(Kind.EVALUATION, run, f"{text}; {AGAIN}"))
    return findings


def without_times(record: Mapping[str, object]) -> str:
    """A line in a form that compares, without what measures how long something took."""
    return repr(sorted((key, value) for key, value in record.items() if not key.startswith(_TIMES)))


def _damaged(content: bytes) -> tuple[int, ...]:
    found = []
    for number, line in enumerate(content.split(b"\n"), start=1):
        try:
            readable = not line.strip() or isinstance(loads(line), dict)
        except ValueError:
            readable = False
        if not readable:
            found.append(number)
    return tuple(found)


def _gaps(steps: Sequence[int]) -> list[int]:
    present = set(steps)
    return [step for step in range(min(1, steps[0]), steps[-1]) if step not in present]


def _ranges(steps: Sequence[int]) -> str:
    """Steps in words, neighbours together: "steps 4 to 6 and 9"."""
    parts: list[tuple[int, int]] = []
    for step in steps:
        if parts and step == parts[-1][1] + 1:
            parts[-1] = (parts[-1][0], step)
        else:
            parts.append((step, step))
    words = [str(low) if low == high else f"{low} to {high}" for low, high in parts[:_SHOWN]]
    more = [f"{len(parts) - _SHOWN} more places"] if len(parts) > _SHOWN else []
    return f"{'step' if len(steps) == 1 else 'steps'} {_and([*words, *more])}"


def _listed(line_numbers: Sequence[int]) -> str:
    shown = [str(number) for number in line_numbers[:_SHOWN]]
    more = [f"{len(line_numbers) - _SHOWN} more"] if len(line_numbers) > _SHOWN else []
    return f"{'line' if len(line_numbers) == 1 else 'lines'} {_and([*shown, *more])}"


def _and(words: Sequence[str]) -> str:
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}"


def _they(many: Iterable[object]) -> str:
    return "it" if len(list(many)) == 1 else "they"
