"""`make bench`: what benchmarks record becomes tables in a page, and every comparison can be started."""

import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from benchmarks import bench, record
from benchmarks.record import Record

FAST = Record("loading", 2.0, "s", against="the old reader", theirs=9.0, ratios=(4.0, 5.0, 4.5), goal=3.0)
SLOW = replace(FAST, name="planning", ratios=(2.0, 1.4, 1.6), goal=4.0, note="theirs scaled")
ALONE = Record("tabular steps", 2.5, "CPU-s", spread=(2.4, 2.7), goal=2.0)


def row(text: str, name: str) -> list[str]:
    """Cells of the row of a record."""
    (line,) = [line for line in text.splitlines() if line.startswith(f"| {name}")]
    return [cell.strip() for cell in line.strip("|").split("|")]


def test_records_come_back_as_they_were_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "records"
    assert record.read(path) == []
    monkeypatch.setenv(record.VARIABLE, str(path))
    record.write([FAST])
    record.write([SLOW, ALONE])
    assert record.read(path) == [FAST, SLOW, ALONE]


def test_a_benchmark_by_itself_writes_no_records(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(record.VARIABLE, raising=False)
    monkeypatch.chdir(tmp_path)
    record.write([FAST])
    assert not list(tmp_path.iterdir())


def test_a_row_has_medians_ratio_spread_and_goal() -> None:
    text = bench.section({"all": [FAST, SLOW, ALONE]}, "where")
    assert row(text, "loading") == ["loading", "2.00 s", "the old reader 9.00 s", "4.50x", "4.00 to 5.00", "3.00x"]
    assert row(text, "planning")[0] == "planning; theirs scaled"
    assert row(text, "tabular steps")[1:] == ["2.50 CPU-s", "—", "—", "2.40 to 2.70", "at most 2.00 CPU-s"]


def test_a_missed_goal_says_by_how_much_and_a_reached_goal_is_not_listed() -> None:
    text = bench.section({"all": [FAST, SLOW, ALONE]}, "where")
    missed = [line for line in text.splitlines() if line.startswith("- ")]
    assert len(missed) == 2
    assert all(word in missed[0] for word in ("planning", "1.60x", "4.00x", "2.50"))
    assert all(word in missed[1] for word in ("tabular steps", "2.50 CPU-s", "2.00 CPU-s"))


def test_a_comparison_that_failed_is_named() -> None:
    text = bench.section({"loading": [FAST], "submit": []}, "where")
    assert "submit" in text.splitlines()[-1]


def test_the_tables_are_replaced_and_the_prose_is_kept() -> None:
    page = f"# Speed\nbefore\n{bench.BEGIN}\nold\n{bench.END}\nafter\n"
    once = bench.replaced(page, "new")
    assert once == f"# Speed\nbefore\n{bench.BEGIN}\nnew\n{bench.END}\nafter\n"
    assert bench.replaced(once, "new") == once


@pytest.mark.parametrize("page", ["prose", f"{bench.BEGIN} only", f"{bench.END} then {bench.BEGIN}"])
def test_a_page_without_a_place_for_tables_is_refused(page: str) -> None:
    with pytest.raises(SystemExit, match=re.escape(bench.END)):
        bench.replaced(page, "new")


def test_the_page_of_the_project_has_its_place() -> None:
    assert "new" in bench.replaced(bench.PAGE.read_text(), "new")


def test_an_unknown_comparison_is_named_with_those_there_are(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        bench.parsed(["plan", "plam"])
    said = capsys.readouterr().err
    assert ended.value.code == 2
    assert "plam" in said
    assert all(name in said for name in bench.TARGETS)


def test_the_machine_is_described() -> None:
    assert re.search(r"commit [0-9a-f]{7,}, \d+ cores of .+ GiB.+Python 3\.\d+", bench.machine())


@pytest.mark.slow
@pytest.mark.parametrize("target", bench.TARGETS.values())
def test_every_comparison_is_a_target_that_starts_a_module_with_options(target: str) -> None:
    makefile = (bench.ROOT / "Makefile").read_text()
    recipe = re.search(rf"^{target}: setup ##.*\n((?:\t.*\n)+)", makefile, flags=re.MULTILINE)
    assert recipe
    (module,) = re.findall(r"python -m (benchmarks\.\w+)", recipe[1])
    command = [sys.executable, "-m", module, "--help"]
    shown = subprocess.run(command, check=False, cwd=bench.ROOT, capture_output=True, text=True, timeout=600)
    assert shown.returncode == 0, shown.stderr
    assert "--help" in shown.stdout
