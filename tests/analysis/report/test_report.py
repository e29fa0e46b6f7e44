"""`qae report`: one file that opens in a browser without a network, and what it finds wrong with the data."""

import json
import re
from dataclasses import replace
from pathlib import Path

import orjson
import pytest
from click.testing import CliRunner, Result

from analysis import comparison, figures, table
from analysis.figures import paper
from analysis.report import contents, quality
from analysis.report.commands import report
from analysis.runs.flaw import Kind
from analysis.sources import run_store
from qae import metrics
from qae.run_directory import RunDirectory, RunStatus
from tests.analysis.report import browser
from tests.analysis.stores import write_manifest, write_run, write_sweep


def run_report(root: Path, *arguments: str) -> Result:
    return CliRunner().invoke(report, [*arguments, "--root", str(root)])


def write_provenance(directory: RunDirectory, *attempts: dict[str, object]) -> None:
    full = [{"commit": "c" * 40, "diff": None, **attempt} for attempt in attempts]
    directory.provenance.write_bytes(orjson.dumps({"attempts": full}))


def findings(root: Path, kind: Kind) -> list[str]:
    return [f"{found.where}: {found.text}" for found in quality.check(run_store.load(root)) if found.kind is kind]


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A sweep of three arms and two seeds; one run is not done."""
    folder = tmp_path_factory.mktemp("store")
    run_ids = write_sweep(folder)
    for run_id in run_ids:
        write_provenance(RunDirectory(folder / run_id), {"versions": {"verl": "0.9.1", "torch": "2.9.0"}})
    state = RunDirectory(folder / "mean-1").read_state()
    RunDirectory(folder / "mean-1").write_state(replace(state, status=RunStatus.FAILED))
    return folder


@pytest.fixture(scope="module")
def page(root: Path) -> Path:
    """Its report."""
    result = run_report(root)
    assert result.exit_code == 0, result.output
    written = root / "figures" / "demo.html"
    assert str(written) in result.output.splitlines()
    return written


@pytest.mark.slow
def test_everything_is_inside_the_file(page: Path) -> None:
    text = page.read_text()
    links = re.findall(r'(?:src|href)="([^"]*)"', text) + re.findall(r"url\(([^)]*)\)", text)
    assert len(links) > len(figures.names())
    assert [link for link in links if not link.startswith(("data:", "#"))] == []
    assert not re.search(r"@import|fetch\(|XMLHttpRequest", text)


_LOOK = """
const cells = (table, index) => [...document.querySelectorAll(`#${table} tbody tr`)].map((row) => row.cells[index]);
const sorted = (name) => {
  const heads = [...document.querySelectorAll("#result-table th button")];
  const column = heads.findIndex((head) => head.innerText === name);
  heads[column].click();
  return cells("result-table", column).map((cell) => cell.innerText);
};
return {
  sorts: ["entropy final", "entropy final", "arm"].map(sorted),
  runs: cells("run-table", 0).length,
  found: cells("finding-table", 1).map((cell) => cell.innerText),
  pictures: [...document.querySelectorAll("figure svg")].map((image) => image.getBoundingClientRect().width > 100),
  asked: performance.getEntriesByType("resource").map((e) => e.name).filter((name) => !name.startsWith("data:")),
  wide: document.documentElement.scrollWidth - innerWidth,
};
"""


@pytest.mark.slow
def test_every_figure_is_shown_or_its_absence_explained(page: Path) -> None:
    text = page.read_text()
    shown, left_out = re.findall(r'id="figure-(\w+)"', text), re.findall(r"<li><b>(\w+)</b>: \w", text)
    assert sorted(shown + left_out) == sorted([*figures.names(), *paper.names()])
    assert set(shown) >= {"entropy_and_pass", "advantage_shares", "fig4b"}


@pytest.mark.slow
def test_claims_of_the_paper_are_judged_as_in_the_figures(page: Path, root: Path) -> None:
    judged = paper.prepare("fig5c", run_store.load(root)).findings
    rows = re.findall(r"<tr>(.*?)</tr>", page.read_text().split('id="claim-table"')[1].split("</table>")[0], re.DOTALL)
    cells = [re.findall(r"<td>(.*?)</td>", row) for row in rows[1:]]
    assert [str(judged[0].claim), str(judged[0].verdict), judged[0].numbers] in [row[:3] for row in cells]
    assert "fig5c" in next(row[3] for row in cells if row[0] == judged[0].claim).split(", ")


@pytest.mark.slow
def test_the_page_opens_and_sorts_in_a_browser(page: Path) -> None:
    answer = browser.ask(page, _LOOK)
    assert isinstance(answer, dict)
    ascending, descending, by_name = answer["sorts"]
    assert len(set(ascending)) > 1
    assert ascending == sorted(ascending)
    assert descending == sorted(ascending, reverse=True)
    assert by_name == ["K = 0.4", "mean", "mean, clip_symmetric"]
    assert answer["runs"] == 6
    assert answer["found"] == ["mean-1 (mean, seed 1)"]
    assert len(answer["pictures"]) >= 3
    assert all(answer["pictures"])
    assert answer["asked"] == []
    assert answer["wide"] <= 0


@pytest.mark.slow
def test_the_page_is_dark_where_the_system_is_and_can_be_switched(page: Path) -> None:
    script = """
    const shown = () => getComputedStyle(document.body).backgroundColor;
    const before = shown();
    document.getElementById("theme").click();
    return { before, after: shown(), wide: document.documentElement.scrollWidth - innerWidth };
    """
    answers = [browser.ask(page, script, dark=dark, width=width) for dark, width in ((True, 500), (False, 1280))]
    assert all(isinstance(answer, dict) and answer["wide"] <= 0 for answer in answers)
    dark, light = ([int(n) for n in re.findall(r"\d+", answer["before"])] for answer in answers)  # type: ignore[index]
    assert max(dark) < 60
    assert min(light) > 240
    assert answers[0]["after"] == answers[1]["before"]  # type: ignore[index]
    assert answers[1]["after"] == answers[0]["before"]  # type: ignore[index]


@pytest.mark.slow
def test_the_tables_hold_the_numbers_of_qae_table(root: Path) -> None:
    runs = run_store.load(root)
    found = contents.collect(runs, "Sweep demo", "sweep 'demo'", with_figures=False)
    rows = table.summarise(runs).rows
    assert [line[0].text for line in found.results.rows] == [row.arm for row in rows]
    assert [line[5].sort for line in found.results.rows] == [row.pass_1.value for row in rows if row.pass_1]
    assert found.pictures == ()
    assert {line[0].text for line in found.configuration.rows} == {
        "labels.regularizer",
        "algorithm.quantile_k",
        "actor_rollout_ref.actor.clip_ratio_high",
    }


@pytest.mark.slow
def test_the_comparison_holds_the_numbers_of_qae_compare(root: Path) -> None:
    runs = run_store.load(root)
    found = contents.collect(runs, "Sweep demo", "sweep 'demo'", with_figures=False).comparison
    shown = {
        (row[0].text, measure): cell for row in found.rows for measure, cell in zip(found.columns, row, strict=True)
    }
    expected = comparison.compare(runs, comparison.default_pairs(runs))
    assert len(expected) == len(found.rows) * len(comparison.MEASURES)
    for of in expected:
        cell = shown[f"{of.first} - {of.second}", of.measure.label]
        assert cell.sort == of.value
        assert f"{cell.text.removesuffix(' *')} {cell.interval}" == str(of)
        assert cell.text.endswith("*") == of.is_separated


@pytest.mark.slow
def test_one_seed_has_no_interval_between_runs(tmp_path: Path) -> None:
    write_run(tmp_path, "a")
    write_run(tmp_path, "b", {"algorithm.quantile_k": 0.4})
    runs = run_store.load(tmp_path)
    found = contents.collect(runs, "", "", with_figures=False).comparison
    cell = found.rows[0][found.columns.index(comparison.ENTROPY_PEAK.label)]
    assert (cell.text, cell.interval) == ("+0.04", "")


@pytest.mark.slow
def test_the_configuration_has_a_row_for_each_of_what_is_more(tmp_path: Path) -> None:
    for run_id, k, clip in (("a", -1, 0.2), ("b", -1.0, 0.28), ("c", 0.4, 0.3)):
        write_run(tmp_path, run_id, {"algorithm.quantile_k": k, "actor_rollout_ref.actor.clip_ratio_high": clip})
    keys = ("actor_rollout_ref.actor.clip_ratio_high", "algorithm.quantile_k")

    def table_of(*run_ids: str) -> contents.Table:
        return contents.collect(run_store.load(tmp_path, run_ids), "", "", with_figures=False).configuration

    two, three = table_of("a", "c"), table_of("a", "b", "c")
    assert two.columns[0] == "key"
    assert [[cell.text for cell in row] for row in two.rows] == [[keys[0], "0.2", "0.3"], [keys[1], "-1", "0.4"]]
    assert three.columns == ("arm", *keys)
    assert [[cell.text for cell in row[1:]] for row in three.rows] == [["0.2", "-1"], ["0.28", "-1"], ["0.3", "0.4"]]
    assert table_of("a", "b").columns == ("arm", keys[0])
    assert table_of("a").rows == ()


def test_a_run_that_failed_comes_with_its_reason(tmp_path: Path) -> None:
    directory = write_run(tmp_path, "a", status=RunStatus.FAILED)
    directory.write_state(replace(directory.read_state(), reason="CUDA is out of memory."))
    assert findings(tmp_path, Kind.UNFINISHED) == ["a (mean, seed 0): failed at step 6 of 6: CUDA is out of memory."]


def test_missing_steps_are_found(tmp_path: Path) -> None:
    directory = write_run(tmp_path, "a")
    lines = directory.metrics.read_bytes().splitlines(keepends=True)
    directory.metrics.write_bytes(b"".join(lines[:1] + lines[3:]))
    assert findings(tmp_path, Kind.MISSING_STEPS) == ["a (mean, seed 0): 2 of steps 1 to 6 have no metrics: 2, 3."]


def test_unreadable_bytes_and_rewritten_steps_are_counted(tmp_path: Path) -> None:
    directory = write_run(tmp_path, "a")
    lines = directory.metrics.read_bytes().splitlines(keepends=True)
    directory.metrics.write_bytes(b"".join([*lines, lines[-1], b"\0" * 40 + b"\n", lines[-1][:25]]))
    assert findings(tmp_path, Kind.UNREADABLE)[0] == (
        "a (mean, seed 0): metrics.jsonl: 2 lines (65 bytes) could not be read and are not in the numbers."
    )
    assert findings(tmp_path, Kind.SUPERSEDED) == [
        "a (mean, seed 0): metrics.jsonl: 1 lines were written again by a continued run; the last of each counts."
    ]


def test_the_same_computation_twice_is_found(tmp_path: Path) -> None:
    for run_id, project in (("a", "one"), ("b", "two"), ("c", "three")):
        seed = 1 if run_id == "c" else 0
        write_run(tmp_path, run_id, {"tracking.project": project, "seed": seed})
    assert findings(tmp_path, Kind.DUPLICATE) == [
        "mean, seed 0: Runs a, b have one configuration: counted as separate seeds, they make intervals too narrow."
    ]


def test_versions_that_differ_are_found(tmp_path: Path) -> None:
    first, second, third = (write_run(tmp_path, name, {"seed": seed}) for seed, name in enumerate("abc"))
    write_provenance(first, {"versions": {"verl": "0.4.0", "torch": "2.9.0"}})
    write_provenance(
        second,
        {"versions": {"verl": "0.9.1", "torch": "2.9.0"}},
        {"versions": {"verl": "0.9.1", "torch": "2.9.0"}, "diff": "+x"},
    )
    assert not third.provenance.exists()
    versions = findings(tmp_path, Kind.VERSIONS)
    assert len(versions) == 2
    assert "all runs: verl: 0.4.0 in run a; 0.9.1 in run b." in versions
    assert next(text for text in versions if "code" in text).count("cccccccccc") == 2
    assert findings(tmp_path, Kind.UNREADABLE) == [
        "c (mean, seed 2): provenance.json: no record of the versions it ran."
    ]


def test_sound_data_has_no_finding(tmp_path: Path) -> None:
    for seed in (0, 1):
        directory = write_run(tmp_path, f"s{seed}", {"seed": seed})
        write_provenance(directory, {"versions": {"verl": "0.9.1", "torch": "2.9.0"}})
    assert quality.check(run_store.load(tmp_path)) == []


@pytest.mark.slow
def test_a_report_of_files_that_we_did_not_write(tmp_path: Path) -> None:
    """A file of verl's logger: metrics without evaluations, versions or a configuration."""
    line = {"step": 1, "data": {metrics.ENTROPY.name: 0.5, "actor/pg_loss": 0.1, "training/global_step": 1}}
    (tmp_path / "verl.jsonl").write_text("".join(json.dumps({**line, "step": step}) + "\n" for step in (1, 2)))
    result = run_report(tmp_path, str(tmp_path / "verl.jsonl"), "--out", str(tmp_path / "out.html"))
    assert result.exit_code == 0, result.output
    text = (tmp_path / "out.html").read_text()
    assert "0.50" in text
    assert f"Runs of {tmp_path.name}/verl.jsonl" in text
    assert str(tmp_path) not in text


@pytest.mark.slow
def test_hostile_names_are_text(tmp_path: Path) -> None:
    write_run(tmp_path, "a", {"labels.regularizer": "<script>alert(1)</script>"})
    write_run(tmp_path, "b")
    write_manifest(tmp_path, "demo", ["a", "b"])
    assert run_report(tmp_path, "--no-figures").exit_code == 0
    assert "<script>alert" not in (tmp_path / "figures" / "demo.html").read_text()


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--out", "report.pdf"], "end its name with .html"),
        (["demo", "--out", f"{__file__}/report.html"], "report.html cannot be written"),
        (["dmeo"], "did you mean demo?"),
        (["empty"], "holds no run that can be read"),
    ],
)
def test_mistakes_get_a_sentence(tmp_path: Path, arguments: list[str], sentence: str) -> None:
    write_run(tmp_path, "a")
    write_manifest(tmp_path, "demo", ["a"])
    write_manifest(tmp_path, "empty", ["gone"])
    result = run_report(tmp_path, *arguments)
    assert result.exit_code == 2
    assert sentence in result.output
    assert not (tmp_path / "figures").exists()


def test_a_pass_at_k_of_fewer_seeds_than_the_row_says_of_how_many(tmp_path: Path) -> None:
    write_run(tmp_path, "a", {"seed": 0})
    write_run(tmp_path, "b", {"seed": 1}, evaluate=())
    found = contents.collect(run_store.load(tmp_path), "A store", "a store", with_figures=False)
    (row,) = found.results.rows
    assert row[1].text == "2"
    assert row[5].interval.endswith("(1 of 2)")
    assert "(" not in row[3].interval
