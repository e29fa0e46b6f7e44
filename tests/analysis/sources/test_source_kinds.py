"""Stores, copies, links and folders as they lie about."""

import os
import shutil
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from analysis import sources
from analysis.commands import results as commands
from analysis.report.commands import report
from analysis.sources import run_store
from tests.analysis.stores import write_manifest, write_run, write_sweep

pytestmark = pytest.mark.slow


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working directory, with a store ``runs`` that has the sweep demo."""
    monkeypatch.chdir(tmp_path)
    write_sweep(tmp_path / "runs")
    return tmp_path


def invoke(command: object, *arguments: str) -> Result:
    return CliRunner().invoke(command, arguments)  # type: ignore[arg-type]  # a click command


def ids(source: str | Path) -> list[str]:
    return [record.id for record in sources.load(source).records]


@pytest.mark.parametrize("damage", ["gone", "torn"])
def test_a_store_without_its_lists_of_sweeps_means_all_its_runs(here: Path, damage: str) -> None:
    if damage == "gone":
        shutil.rmtree(here / "runs" / "sweeps")
    else:
        (here / "runs" / "sweeps" / "demo.json").write_text("{")
    for command, more in (
        (commands.table, ["--csv"]),
        (commands.compare, ["--csv"]),
        (commands.figures, ["--format", "svg"]),
        (report, ["--no-figures", "--out", "r.html"]),
    ):
        result = invoke(command, *more)
        assert result.exit_code == 0, result.output
        said = Path("r.html").read_text() if command is report else result.stderr
        assert "all runs of the store" in said
        assert invoke(command, "runs", *more).exit_code == 0


@pytest.mark.parametrize(
    "source", ["runs", "runs/", "./runs", "../{name}/runs", "{path}/runs", "link", "runs/mean-0/.."]
)
def test_a_store_is_one_however_it_is_written(here: Path, source: str) -> None:
    (here / "link").symlink_to("runs")
    text = source.format(name=here.name, path=here)
    assert sorted(ids(text)) == sorted(run_store.ids(here / "runs"))
    result = invoke(commands.figures, text, "entropy_by_sign", "--format", "svg", "--root", "out")
    assert result.exit_code == 0, result.output
    assert Path(result.stdout.strip()).parent.parent == Path("out/figures")


def test_a_run_directory_alone_is_a_source(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.copytree(here / "runs" / "k4-1", here / "alone" / "k4-1")
    (here / "alone" / "k4-1" / "state.json").unlink()
    assert ids("alone/k4-1") == ids("alone") == ["k4-1"]
    monkeypatch.chdir(here / "alone" / "k4-1")
    assert ids(".") == ["k4-1"]


def test_links_are_followed_and_no_run_counts_twice(here: Path) -> None:
    store = here / "runs"
    outside = write_run(here / "elsewhere", "out-0", {"seed": 9}).path
    (store / "latest").symlink_to("mean-0")
    (store / "aaa-best").symlink_to(store / "k4-0")
    (store / "out-0").symlink_to(outside)
    (store / "dangling").symlink_to("nothing")
    (store / "loop").symlink_to("loop")
    runs = sources.load("runs")
    assert {record.id for record in runs.records} == {*run_store.ids(store)}
    assert len(runs.records) == 7
    assert sum("dangling" in note or "loop" in note for note in runs.notes) == 2
    assert ids("runs/latest") == ["mean-0"]


def test_a_link_that_leads_nowhere_is_named(here: Path) -> None:
    (here / "gone").symlink_to("nothing")
    result = invoke(commands.table, "gone")
    assert result.exit_code == 2
    assert "link" in result.output
    assert "nothing" in result.output


def test_wandbs_link_to_the_latest_run_counts_once(continued_run: Path, here: Path) -> None:
    folder = here / "collected"
    shutil.copytree(continued_run / "wandb", folder, symlinks=True)
    (first, _) = sorted(folder.glob("offline-run-*"))
    (folder / "latest-run").unlink(missing_ok=True)
    (folder / "latest-run").symlink_to(first.name)
    (folder / "again").symlink_to(".")
    (folder / "dangling").symlink_to("nothing")
    (here / "by-links").mkdir()
    for place, run in enumerate(sorted(folder.glob("offline-run-*"))):
        (here / "by-links" / f"run {place}").symlink_to(run)
    (here / "a file").symlink_to(next(first.glob("*.wandb")))
    plain = sources.load(continued_run / "wandb").metrics
    for source in ("collected", "by-links"):
        assert sources.load(source).metrics.equals(plain), source
    assert ids("a file") == ["aaaa"]


def test_a_folder_of_stores_names_them(here: Path) -> None:
    shutil.copytree(here / "runs", here / "many" / "a")
    with pytest.raises(sources.SourceError, match="many/a"):
        sources.load("many")


def test_what_cannot_be_looked_at_is_a_sentence(here: Path) -> None:
    for source in ("a" * 300, "runs/" + "b" * 300, "", "nul\0byte"):
        result = invoke(commands.table, source)
        assert result.exit_code == 2, result.output
        assert result.output.count("\n") == 1
    locked = here / "locked"
    locked.mkdir()
    locked.chmod(0)
    own = os.geteuid()
    here.chmod(0o755)
    os.seteuid(own or 65534)  # root may look into everything
    try:
        with pytest.raises(sources.SourceError, match="cannot be read"):
            sources.load(locked)
    finally:
        os.seteuid(own)


def test_a_figure_and_a_folder_of_one_name(here: Path) -> None:
    shutil.copytree(here / "runs", here / "entropy_by_sign")
    by_name = invoke(commands.figures, "entropy_by_sign", "--format", "svg")
    assert by_name.stdout.split() == ["runs/figures/demo/entropy_by_sign.svg"]
    folder = invoke(commands.figures, "./entropy_by_sign", "entropy_by_sign", "--format", "svg")
    assert folder.stdout.split() == ["runs/figures/entropy_by_sign/entropy_by_sign.svg"]


def test_figures_of_the_paper_come_from_any_source(here: Path) -> None:
    shutil.copytree(here / "runs", here / "copy")
    for words in (["copy", "fig5a"], ["fig5a", "--sweep", "copy"]):
        result = invoke(commands.figures, *words, "--format", "svg")
        assert "runs/figures/copy/fig5a.svg" in result.stdout.split()


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["nowhere"], ["no figure", "no sweep", "no file"]),
        (["entropi_by_sign"], ["did you mean entropy_by_sign?"]),
        (["entropy_by_sign", "runs"], ["'runs'", "first"]),
        (["runs", "fig99"], ["no figure 'fig99'"]),
    ],
)
@pytest.mark.usefixtures("here")
def test_words_that_mean_nothing_are_told_what_they_may_be(words: list[str], says: list[str]) -> None:
    result = invoke(commands.figures, *words)
    assert result.exit_code == 2
    assert all(word in result.output for word in says), result.output


def test_a_sweep_outranks_a_folder_of_its_name(here: Path) -> None:
    write_run(here / "demo", "other")
    write_manifest(here / "runs", "demo", ["mean-0"])
    assert ids("demo") == ["mean-0"]
    assert ids("./demo") == ["other"]
