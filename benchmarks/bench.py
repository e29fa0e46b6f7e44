"""Every comparison in one run, as ``make bench`` starts it: tables for docs/performance.md.

Each comparison is a target of the Makefile, which sets up what it needs, and runs in processes of its own. The tables
stand between two comments of the page; what stands outside of them is kept. Comparisons that are named run alone, and
their tables are printed and not written unless ``--page`` names a page: a page shows a single run of all.
"""

import argparse
import os
import platform
import shlex
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from pathlib import Path

from benchmarks import record
from benchmarks.record import Record

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "performance.md"
BEGIN, END = "<!-- `make bench` writes from here -->", "<!-- to here -->"
TARGETS: Mapping[str, str] = {
    "advantage": "benchmark",
    "plan": "benchmark-plan",
    "submit": "benchmark-submit",
    "loading": "benchmark-loading",
    "intervals": "benchmark-statistics",
    "report": "benchmark-report",
    "tabular": "benchmark-tabular",
    "driver": "benchmark-driver",
    "transformer": "benchmark-trl",
}
_PACKAGES = ("torch", "numpy", "pandas", "verl", "hydra-core", "matplotlib", "wandb")


def main() -> int:
    """Run comparisons, print their tables and write them into the page; 1 where a comparison failed."""
    options = parsed(sys.argv[1:])
    found: dict[str, Sequence[Record]] = {}
    for name in options.names or TARGETS:
        started = time.perf_counter()
        print(f"── {name}", flush=True)
        found[name] = measured(TARGETS[name])
        print(f"── {name}: {time.perf_counter() - started:.0f} s", flush=True)
    text = section(found, machine())
    print(text)
    if page := options.page or (None if options.names else PAGE):
        page.write_text(replaced(page.read_text(), text))
    return int(not all(found.values()))


def parsed(words: Sequence[str]) -> argparse.Namespace:
    """Options of the command line: names of comparisons, and the page to write."""
    parser = argparse.ArgumentParser(description="Every comparison in one run.")
    parser.add_argument(
        "names", nargs="*", metavar="NAME", help=f"comparisons, all without a name: {', '.join(TARGETS)}"
    )
    parser.add_argument("--page", type=Path, help=f"the page to write; by default, of all comparisons, {PAGE.name}")
    options = parser.parse_args(words)
    for name in options.names:
        if name not in TARGETS:
            parser.error(f"there is no comparison {name!r}: choose from {', '.join(TARGETS)}")
    return options


def measured(target: str) -> Sequence[Record]:
    """What a target of the Makefile records; nothing where it fails."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "records"
        make = shlex.split(os.environ.get("MAKE", "make"))
        command = [*make, "--no-print-directory", target]
        ended = subprocess.run(command, check=False, cwd=ROOT, env={**os.environ, record.VARIABLE: str(path)})  # noqa: S603
        return record.read(path) if ended.returncode == 0 else []


def machine() -> str:
    """Date, commit, processor, memory and versions, in a paragraph."""
    names = [line.split(":")[1].strip() for line in _lines("/proc/cpuinfo") if line.startswith("model name")]
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    versions = ", ".join(f"{name} {version(name)}" for name in _PACKAGES)
    return (
        f"{time.strftime('%Y-%m-%d %H:%M')}, commit {_commit()}, {os.cpu_count()} cores of {(names or ['?'])[0]}, "
        f"{memory:.0f} GiB, load average {os.getloadavg()[2]:.1f} over the last 15 minutes. "
        f"Python {platform.python_version()}, {versions}."
    )


def section(found: Mapping[str, Sequence[Record]], where: str) -> str:
    """The tables of a run in Markdown, and a sentence on each goal that is missed."""
    records = [each for of in found.values() for each in of]
    lines = [
        where,
        "",
        "| what | ours | against | ratio | lowest to highest | goal |",
        "|---|--:|---|--:|--:|--:|",
        *(_row(each) for each in records),
    ]
    ended = [f"- {_missed(each)}" for each in records if each.missed]
    ended += [f"- **{name}**: did not end, and has no row." for name, of in found.items() if not of]
    return "\n".join([*lines, *(["", *ended] if ended else [])])


def replaced(page: str, text: str) -> str:
    """The page with a new text between its two comments.

    Raises:
        SystemExit: a comment is missing.
    """
    before, begin, rest = page.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise SystemExit(f"the page has no place for tables: put the lines {BEGIN} and {END} where they belong")
    return f"{before}{BEGIN}\n{text}\n{END}{after}"


def _row(of: Record) -> str:
    name = f"{of.name}; {of.note}" if of.note else of.name
    against = f"{of.against} {_number(of.theirs)} {of.unit}" if of.theirs is not None else "—"
    ratio = f"{_number(of.ratio)}x" if of.ratio is not None else "—"
    values = of.ratios or of.spread
    ends = f"{_number(min(values))} to {_number(max(values))}" if len(values) > 1 else "—"
    return f"| {name} | {_number(of.ours)} {of.unit} | {against} | {ratio} | {ends} | {_goal(of)} |"


def _goal(of: Record) -> str:
    if of.goal is None:
        return "—"
    return f"{_number(of.goal)}x" if of.ratios else f"at most {_number(of.goal)} {of.unit}"


def _missed(of: Record) -> str:
    name = f"**{of.name}**" + (f" against {of.against}" if of.against else "")
    if of.ratio is None:
        return f"{name}: {_number(of.ours)} {of.unit}; the goal is {_goal(of)}."
    short = _number((of.goal or 0.0) / of.ratio)
    return f"{name}: {_number(of.ratio)}x; the goal of {_goal(of)} is missed by a factor of {short}."


def _number(value: float | None) -> str:
    """With three digits that count."""
    if value is None:
        return "—"
    digits = 0 if abs(value) >= 100 else 1 if abs(value) >= 10 else 2
    return f"{value:,.{digits}f}"


def _commit() -> str:
    command = ["git", "rev-parse", "--short", "HEAD"]
    return subprocess.run(command, check=True, cwd=ROOT, capture_output=True, text=True).stdout.strip()  # noqa: S603


def _lines(path: str) -> list[str]:
    return Path(path).read_text().splitlines()


if __name__ == "__main__":
    sys.exit(main())
