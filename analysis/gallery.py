"""The gallery: every figure and table of the paper in one Markdown page, with what the runs say of its claims."""

import datetime as dt
import json
import os
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from analysis import drawing
from analysis.drawing import Drawn, Form
from analysis.figures import paper
from analysis.figures.paper.findings import Verdict
from analysis.runs.frames import RunRecord, Runs
from qae.console.text import Markdown, markdown, markdown_sentence, markdown_table
from qae.run_directory import RunDirectory, RunStatus, write_atomic

_DPI = 100
_TABLES = ("table1", "table2")
_TITLES = {
    Verdict.SHOWN: "Appears here",
    Verdict.OPEN: "Not shown here: the interval holds both signs, or one seed is all there is",
    Verdict.OPPOSITE: "The opposite appears here",
    Verdict.UNKNOWN: "Runs are missing",
}
_INTRODUCTION = """\
# Gallery: the paper's figures and tables on the tabular policy

Made by `make paper`: every run of `+experiment=paper` (shared runs are made once), then every figure;
`docs/experiments.md` says how long that takes. One picture is `qae figures NAME`, which also writes PDF, SVG and what
is drawn as CSV. The policy is a table of logits, trained by DAPO for 60 steps on a CPU, and its world was chosen on
other seeds ([why_entropy_explodes.md](why_entropy_explodes.md)): it shows mechanisms, not the paper's benchmarks. Each
claim is judged by a 95 % interval over seeds and problems, paired on the same seeds and problems; nothing is corrected
for the number of claims. Open marks are the published numbers."""


@dataclass(frozen=True)
class Gallery:
    """What was written.

    Attributes:
        page: the Markdown file.
        pictures: its pictures.
        left_out: by figure, why it could not be drawn.
        remarks: by figure that was drawn, sentences on runs that it lacks or that ended early.
    """

    page: Path
    pictures: tuple[Path, ...]
    left_out: dict[str, str]
    remarks: dict[str, str]


def write(runs: Runs, page: Path, pictures: Path, *, source: str, names: Sequence[str] = ()) -> Gallery:
    """Draw every figure of the paper and write the page.

    Args:
        runs: all that there are; each figure takes its own.
        page: the Markdown file.
        pictures: folder of the PNG files.
        source: for the captions, where the runs come from.
        names: of the figures; all by default.
    """
    found = drawing.draw_all(runs, names or paper.names(), source, Form(("png",), dpi=_DPI))
    drawn = [figure for figure in found if not figure.left_out]
    paths = [pictures / f"{figure.name}.png" for figure in drawn]
    for figure, path in zip(drawn, paths, strict=True):
        write_atomic(path, figure.files["png"])
    left_out = {figure.name: figure.left_out for figure in found if figure.left_out}
    used = {record.id: record for figure in drawn for record in figure.records}
    parts = [
        _INTRODUCTION,
        _origin(list(used.values())),
        _incomplete(used, runs.records),
        _summary(drawn),
        *(_section(item, path, page.parent) for item, path in zip(drawn, paths, strict=True)),
        *(f"## {paper.title(name)}\n\nNot drawn. {markdown_sentence(reason)}" for name, reason in left_out.items()),
    ]
    page.parent.mkdir(parents=True, exist_ok=True)
    page.write_text("\n\n".join(filter(None, parts)) + "\n")
    return Gallery(page, tuple(paths), left_out, {figure.name: figure.remarks for figure in drawn if figure.remarks})


def _origin(drawn: Sequence[RunRecord]) -> str:
    """When, by which code and on what the runs were made."""
    attempts = [attempt for record in drawn for attempt in _attempts(record)]
    days = sorted({dt.datetime.fromtimestamp(float(str(a["started"])), dt.UTC).date().isoformat() for a in attempts})
    commits = sorted({str(attempt.get("commit"))[:12] for attempt in attempts if attempt.get("commit")})
    processors = sorted({str(attempt.get("cpu")) for attempt in attempts if attempt.get("cpu")})
    code, machines = (markdown(", ".join(names)) for names in (commits, processors))
    return (
        f"**{len(drawn)} runs** of {' to '.join(dict.fromkeys((days[0], days[-1]))) if days else 'unknown date'}, "
        f"code at {code or 'no commit'}{_changed(attempts)}, on {machines or 'unknown'}. "
        f"Drawn on {dt.datetime.now(dt.UTC).date().isoformat()} at {_head()}."
    )


def _incomplete(drawn: Mapping[str, RunRecord], known: Sequence[RunRecord]) -> str:
    """Which runs ended early or failed, why, and what became of them in the figures."""
    early = [record for record in drawn.values() if record.ended_early]
    failed = [record for record in known if record.status is RunStatus.FAILED and not record.collapsed]
    parts = []
    if early:
        heading = (
            "Runs that ended early; curves have them as far as they went, final numbers as they were last evaluated:"
        )
        parts.append("\n".join([heading, "", *map(_ending, early)]))
    if failed:
        heading = "Runs that failed, left out where another run of their arm is done:"
        parts.append("\n".join([heading, "", *map(_ending, failed)]))
    return "\n\n".join(parts)


def _ending(record: RunRecord) -> str:
    return (
        f"- {markdown(record.id)} ({markdown(record.arm.shown)}, seed {record.seed}), "
        f"step {record.step} of {record.total_steps}: {markdown_sentence(record.reason or 'no reason is known')}"
    )


def _changed(attempts: Sequence[dict[str, object]]) -> str:
    changed = sum(bool(attempt.get("diff")) for attempt in attempts)
    return f" ({changed} of {len(attempts)} starts with uncommitted changes)" if changed else ""


def _attempts(record: RunRecord) -> list[dict[str, object]]:
    if record.directory is None:
        return []
    try:
        content = json.loads(RunDirectory(record.directory).provenance.read_text())
        return [attempt for attempt in content["attempts"] if isinstance(attempt, dict) and "started" in attempt]
    except (OSError, ValueError, KeyError, TypeError):
        return []


def _head() -> str:
    shown = subprocess.run(
        ["git", "rev-parse", "--short=12", "HEAD"],  # noqa: S607  # whichever git the user has
        cwd=Path(__file__).parent,
        capture_output=True,
        text=True,
        check=False,
    )
    return f"commit {shown.stdout.strip()}" if shown.returncode == 0 else "an unknown commit"


def _summary(drawn: Sequence[Drawn]) -> str:
    """Every claim under what became of it."""
    by_verdict: dict[Verdict, dict[str, str]] = {verdict: {} for verdict in _TITLES}
    for item in drawn:
        for finding in item.findings:
            by_verdict[finding.verdict].setdefault(finding.claim, f"[{item.name}](#{_anchor(paper.title(item.name))})")
    counts = {verdict: len(claims) for verdict, claims in by_verdict.items()}
    parts = [
        "## What of the paper appears, and what does not",
        f"The figures judge {sum(counts.values())} claims: {counts[Verdict.SHOWN]} appear in these runs, of "
        f"{counts[Verdict.OPPOSITE]} the opposite appears, {counts[Verdict.OPEN]} are not shown either way"
        + (f", and for {counts[Verdict.UNKNOWN]} runs are missing." if counts[Verdict.UNKNOWN] else "."),
    ]
    for verdict, claims in by_verdict.items():
        if claims:
            parts.append(f"**{_TITLES[verdict]}**")
            parts.append("\n".join(f"- {claim} ({where})" for claim, where in claims.items()))
    return "\n\n".join(parts)


def _section(item: Drawn, picture: Path, folder: Path) -> str:
    title = paper.title(item.name)
    link = Path(os.path.relpath(picture, folder)).as_posix()
    parts = [f"## {title}", f"![{title}]({link})"]
    if item.findings:
        rows = [
            (of.claim, Markdown(f"**{of.verdict}**"), "; ".join(filter(None, (of.numbers, of.reason))))
            for of in item.findings
        ]
        parts.append(markdown_table(("the paper", "here", "numbers"), rows))
    if item.name in _TABLES and item.data is not None:
        parts.append(_numbers(item.data))
    parts += [markdown_sentence(item.remarks)] if item.remarks else []
    return "\n\n".join(parts)


def _numbers(data: pd.DataFrame) -> str:
    """A table's numbers in words of the tidy table, ours with intervals."""
    cells = {
        (row["panel"], row["x"], row["series"]): _cell(row["value"], row["low"], row["high"])
        for row in data.to_dict("records")
    }
    wide = pd.Series(cells).unstack(sort=False).fillna("")
    rows = [(*map(str, index), *map(str, values)) for index, values in zip(wide.index, wide.to_numpy(), strict=True)]
    return markdown_table(("", "", *map(str, wide.columns)), rows)


def _cell(value: float, low: float, high: float) -> str:
    return f"{value:.3f}" if pd.isna(low) else f"{value:.3f} [{low:.3f}, {high:.3f}]"


def _anchor(title: str) -> str:
    """The anchor that Markdown viewers give to a heading."""
    kept = "".join(letter for letter in title.lower() if letter.isalnum() or letter in " -_")
    return kept.replace(" ", "-")
