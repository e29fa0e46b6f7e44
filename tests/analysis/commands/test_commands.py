"""`qae table`, `qae figures` and what a sweep closes with."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from xml.etree import ElementTree

import pytest
from click.testing import CliRunner, Result

from analysis.commands import closing
from analysis.commands.results import figures, gallery, table
from analysis.figures import paper
from analysis.figures.paper.selection import FIRST_SEED, SEEDS
from qae.run_directory import RunStatus
from tests.analysis.stores import write_manifest, write_run, write_sweep

pytestmark = pytest.mark.slow

QAE = Path(sys.executable).with_name("qae")


def run_table(root: Path, *arguments: str) -> Result:
    return CliRunner().invoke(table, [*arguments, "--root", str(root)], env={"COLUMNS": "160"})


def run_figures(root: Path, *arguments: str) -> Result:
    return CliRunner().invoke(figures, [*arguments, "--root", str(root)])


def test_the_table_of_the_sweep_launched_last(tmp_path: Path) -> None:
    write_manifest(tmp_path, "older", [])
    old = time.time() - 60
    os.utime(tmp_path / "sweeps" / "older.json", (old, old))
    write_sweep(tmp_path)
    result = run_table(tmp_path)
    assert result.exit_code == 0, result.output
    for arm in ("mean", "K = 0.4", "mean, clip_symmetric"):
        assert arm in result.output


def test_the_table_for_programs(tmp_path: Path) -> None:
    write_sweep(tmp_path)
    rows = json.loads(run_table(tmp_path, "demo", "--json").output)
    assert [row["arm"] for row in rows] == ["mean", "K = 0.4", "mean, clip_symmetric"]
    assert rows[1]["zero_share.value"] == pytest.approx(0.75)
    head, *lines = run_table(tmp_path, "demo", "--csv").output.splitlines()
    assert "pass_16.high" in head.split(",")
    assert len(lines) == 3
    assert run_table(tmp_path, "demo", "--markdown").output.startswith("| arm | seeds |")


def test_figures_are_written_in_three_formats(tmp_path: Path) -> None:
    write_sweep(tmp_path)
    result = run_figures(tmp_path, "demo", "advantage_shares")
    assert result.exit_code == 0, result.output
    folder = tmp_path / "figures" / "demo"
    assert result.output.split() == [str(folder / f"advantage_shares.{suffix}") for suffix in ("png", "svg", "pdf")]
    beginnings = [(folder / f"advantage_shares.{suffix}").read_bytes()[:5] for suffix in ("png", "svg", "pdf")]
    assert beginnings == [b"\x89PNG\r", b"<?xml", b"%PDF-"]


def test_format_and_folder_can_be_chosen(tmp_path: Path) -> None:
    write_sweep(tmp_path)
    result = run_figures(tmp_path, "demo", "entropy_by_sign", "--format", "svg", "--out", str(tmp_path / "here"))
    assert result.output.split() == [str(tmp_path / "here" / "entropy_by_sign.svg")]


def test_a_figure_of_the_paper_is_drawn_by_its_name_from_any_runs_of_the_store(tmp_path: Path) -> None:
    write_sweep(tmp_path, "mine")
    result = run_figures(tmp_path, "fig5", "table1", "--format", "svg")
    assert result.exit_code == 0, result.output
    folder = tmp_path / "figures" / "paper"
    written = [
        str(folder / f"{name}.{form}") for name in ("fig5a", "fig5b", "fig5c", "table1") for form in ("csv", "svg")
    ]
    assert result.stdout.split() == written
    lacking = f"seeds {', '.join(str(seed) for seed in range(FIRST_SEED, FIRST_SEED + SEEDS - 2))}"  # two are there
    missing = f"Missing runs: mean ({lacking}); K = 0.4 ({lacking}). `python sweep.py -m +experiment=fig5`"
    assert f"fig5a: {missing} makes them." in result.stderr
    head = (folder / "fig5a.csv").read_text().splitlines()[0]
    assert head == "panel,series,x,value,low,high,seeds"


def test_a_sweep_named_like_a_figure_is_the_figures_source(tmp_path: Path) -> None:
    write_sweep(tmp_path, "mine")
    write_manifest(tmp_path, "fig7", ["k4-0"])
    assert "n = 1 seed an arm" in _caption(tmp_path, "fig7")
    assert "n = 2 seeds an arm" in _caption(tmp_path, "fig7", "--sweep", "mine")
    result = run_figures(tmp_path, "fig7", "advantage_shares", "--format", "svg")
    assert result.stdout.split() == [str(tmp_path / "figures" / "fig7" / "advantage_shares.svg")]


def _caption(root: Path, *arguments: str) -> str:
    result = run_figures(root, *arguments, "--format", "svg", "--out", str(root / "out"))
    assert result.exit_code == 0, result.output
    svg = ElementTree.parse(root / "out" / "fig7.svg")  # noqa: S314  # our own file
    return " ".join(" ".join(text.itertext()) for text in svg.iter("{http://www.w3.org/2000/svg}text"))


def test_a_figure_without_any_of_its_runs_says_how_to_make_them(tmp_path: Path) -> None:
    write_sweep(tmp_path, "mine")
    result = run_figures(tmp_path, "fig11")
    assert result.exit_code == 2
    lacking = f"seeds {', '.join(str(seed) for seed in range(FIRST_SEED, FIRST_SEED + SEEDS))}"
    assert f"fig11 left out: Missing runs: mean ({lacking}); K = 0.4 ({lacking})." in result.output
    assert run_figures(tmp_path / "empty", "fig4b", "fig11", "--out", str(tmp_path / "out")).exit_code == 0


def test_the_gallery_is_one_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_sweep(tmp_path, "mine")
    monkeypatch.setattr(paper, "names", lambda: ("fig5c", "fig11"))
    result = CliRunner().invoke(gallery, ["--root", str(tmp_path), "--out", str(tmp_path / "docs" / "gallery.md")])
    assert result.exit_code == 0, result.output
    assert "gallery.md: 1 pictures, 0." in result.stdout
    assert "fig11: Missing runs" in result.stderr
    assert (tmp_path / "docs" / "images" / "gallery" / "fig5c.png").exists()


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("dmo",), "there is no sweep 'dmo' in {root}; did you mean demo?"),
        (("demo", "entropy_by_sing"), "there is no figure 'entropy_by_sing'; did you mean entropy_by_sign?"),
    ],
)
def test_mistakes_are_answered_in_a_sentence(tmp_path: Path, arguments: tuple[str, ...], sentence: str) -> None:
    write_sweep(tmp_path)
    result = run_figures(tmp_path, *arguments)
    assert result.exit_code == 2
    assert result.output == f"Error: {sentence.format(root=tmp_path)}\n"


def test_an_empty_store_says_how_to_make_runs(tmp_path: Path) -> None:
    for result in (run_table(tmp_path), run_figures(tmp_path / "missing")):
        assert result.exit_code == 2
        assert "`python sweep.py -m` makes one" in result.output
        assert result.output.count("\n") == 1


def test_a_damaged_manifest_is_answered_in_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "sweeps").mkdir()
    (tmp_path / "sweeps" / "demo.json").write_text("{")
    result = run_table(tmp_path)
    assert result.exit_code == 2
    assert "demo.json cannot be read" in result.output


def test_runs_without_a_name_that_the_table_knows_are_told_which_it_reads(tmp_path: Path) -> None:
    log = tmp_path / "other.jsonl"
    log.write_text("".join(f'{{"step": {step}, "data": {{"train/loss": 0.5}}}}\n' for step in (1, 2)))
    result = CliRunner().invoke(table, [str(log), "--root", str(tmp_path)])
    assert result.exit_code == 2
    assert "train/loss" in result.output
    assert "actor/entropy" in result.output
    assert "on disk yet" not in result.output


def test_a_sweep_that_has_not_begun_says_so(tmp_path: Path) -> None:
    write_run(tmp_path, "a", steps=0, evaluate=(), status=RunStatus.QUEUED)
    write_manifest(tmp_path, "demo", ["a"])
    assert "has a step on disk yet" in run_table(tmp_path).output
    result = run_figures(tmp_path)
    assert result.exit_code == 2
    assert "no figure could be drawn" in result.output


def test_a_sweep_closes_with_its_table_and_three_figures(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "160")
    run_ids = write_sweep(tmp_path)
    closing.show(tmp_path, [*run_ids, "was-never-made"], "demo")
    shown = capsys.readouterr().out
    assert "clip_symmetric" in shown
    assert "Run was-never-made is left out" in shown
    paths = [Path(line.removeprefix("figure: ")) for line in shown.splitlines() if line.startswith("figure: ")]
    assert [path.stem for path in paths] == list(closing.FIGURES)
    assert all(path.stat().st_size > 10_000 for path in paths)


def test_closing_without_a_step_prints_no_figure(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_run(tmp_path, "a", steps=0, evaluate=(), status=RunStatus.FAILED)
    closing.show(tmp_path, ["a"], "demo")
    shown = capsys.readouterr().out
    assert "nothing to show" in shown
    assert "seed 0 failed at step 0" in shown
    assert not (tmp_path / "figures").exists()


def test_the_installed_command_finds_the_store_by_the_environment(tmp_path: Path) -> None:
    write_sweep(tmp_path)
    result = subprocess.run(
        [QAE, "table", "--csv"],
        env={**os.environ, "QAE_RUNS": str(tmp_path)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert result.stdout.count("\n") == 4


def test_help_imports_neither_pandas_nor_matplotlib() -> None:
    code = (
        "import sys; from click.testing import CliRunner; from analysis.commands.results import table, figures;"
        "[CliRunner().invoke(command, ['--help']) for command in (table, figures)];"
        "print({'pandas', 'matplotlib', 'torch', 'numpy'} & set(sys.modules))"
    )
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert shown.stdout.strip() == "set()"
