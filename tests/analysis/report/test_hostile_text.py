"""Hostile text through every command that reads runs, and into every figure: shown as it is, and nothing breaks."""

import csv
import io
import json
import re
import warnings
from collections.abc import Iterator, Sequence
from html.parser import HTMLParser
from pathlib import Path
from xml.etree import ElementTree

import pytest
from click.testing import CliRunner, Result
from hypothesis import HealthCheck, given, settings
from markdown_it import MarkdownIt

from analysis import figures, notebook
from analysis.advice.commands import advise
from analysis.commands import closing
from analysis.commands import results as commands
from analysis.commands.sources import export
from analysis.dashboard import local
from analysis.figures import paper
from analysis.guard.commands import guard
from analysis.refine.commands import refine
from analysis.report.commands import report
from analysis.sources import run_store
from qae.console import text
from qae.run_directory import JsonlWriter, RunDirectory, RunState, RunStatus, Scalar
from slurm.commands import status
from sweeps.commands.runs import logs
from tests.analysis.stores import (
    config,
    evaluation_line,
    step_line,
    token_line,
    write_configured,
    write_manifest,
    write_run,
)
from tests.method.test_text import TEXTS

pytestmark = [pytest.mark.slow, pytest.mark.long]

MARKUP = "[INST] q [/INST] $x^2$ $ <script>alert(1)</script> |a| `x` [/x] :smile: *b* [l](http://x)"
HIDDEN = "two\nlines\r\t\x1b[31mred\u202e\x00\ud800 # x"
LONG = "{% for message in messages %}" * 200
FOREIGN = "日本語 \u4e2d 👩‍👩‍👧 \\frac{1}{2} ⏎"
WORST = (MARKUP, HIDDEN, LONG, FOREIGN)
SWEEP = "[a] |b| $c$ *d*"


def store(root: Path, values: Sequence[str], seeds: Sequence[int] = (0, 1)) -> list[str]:
    """A store with seeds of the mean and of K = 0.4 for each value, which is in all that a run can call its own."""
    run_ids = []
    for number, value in enumerate(values):
        kept = text.encodable(value)  # files of run directories hold whole characters only
        folder = re.sub(r"[/\0]", "-", kept)[:40].strip() or "empty"
        for k in (-1.0, 0.4):
            for seed in seeds:
                run_id = f"r{folder}-{number}-{k:g}-{seed}"
                changes = {"algorithm.quantile_k": k, "seed": seed, "labels.note": kept, "template": kept}
                run = write_configured(root, run_id, config(changes), data_sets=(kept or "empty",))
                with JsonlWriter(run.tokens) as file:
                    line = token_line(4, seed)
                    tokens: list[dict[str, Scalar]] = [{"token": kept, "probability": 0.3, "entropy": 1.0, "count": 3}]
                    file.append({**line, "tokens": tokens, "markers": {kept: 3}})
                with JsonlWriter(run.metrics) as file:
                    file.append({**step_line(6, seed, k), f"foreign/{kept}": 1.0})
                run.write_state(RunState(RunStatus.DONE, step=6, total_steps=6, attempt=1, reason=kept, tracking=kept))
                run.logs.mkdir()
                (run.logs / "attempt-1.log").write_text(kept)
                run_ids.append(run.run_id)
    write_manifest(root, SWEEP, run_ids)
    return run_ids


def invoke(command: object, *arguments: str, expected: int = 0) -> Result:
    result = CliRunner().invoke(command, list(arguments), env={"COLUMNS": "20000"})  # type: ignore[arg-type]
    assert result.exit_code == expected, (arguments, result.output[-2000:], result.exc_info)
    return result


def is_plain(shown: str) -> bool:
    return all(letter.isprintable() or letter in "\n\u200c\u200d" or letter.isspace() for letter in shown)


def table_rows(markdown: str) -> list[list[str]]:
    rows: list[list[str]] = []
    tokens = MarkdownIt("gfm-like", {"linkify": False, "html": True}).parse(markdown)
    for token in tokens:
        assert not token.type.startswith(("html", "heading", "fence", "code_block", "list")), token
        if token.type == "tr_open":
            rows.append([])
        if token.type == "inline" and token.level > 2:
            rows[-1].append("".join(child.content for child in token.children or []))
            assert {child.type for child in token.children or []} <= {"text", "text_special"}
    return rows


class Page(HTMLParser):
    """The tags and the text of a page."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.text = ""

    def handle_starttag(self, tag: str, attrs: object) -> None:  # noqa: ARG002
        self.tags.add(tag)

    def handle_data(self, data: str) -> None:
        self.text += data


def check_tables(root: Path, values: Sequence[str]) -> None:
    at = ("--root", str(root))
    names = [str(arm) for arm in run_store.load(root).arms]
    shown = [text.brief(name) for name in names]
    assert len(set(shown)) == len(names)
    for command in (commands.table, commands.compare):
        output = invoke(command, *at).output
        assert is_plain(output)
        for name in shown:
            assert name in output
        rows = table_rows(invoke(command, *at, "--markdown").output)
        assert len({len(row) for row in rows}) == 1
        assert all(any(name in cell for row in rows for cell in row) for name in shown)
    exact = {text.encodable(name) for name in names}
    csv_rows = list(csv.DictReader(io.StringIO(invoke(commands.table, *at, "--csv").stdout, newline="")))
    assert {row["arm"] for row in csv_rows} == exact
    assert {row["arm"] for row in json.loads(invoke(commands.table, *at, "--json").stdout)} == exact
    of_pairs = json.loads(invoke(commands.compare, *at, "--json").stdout)
    assert {row[end] for row in of_pairs for end in ("first", "second")} <= exact
    for name in {names[-1], shown[-1]} - {name for name in names if "\0" in name}:
        assert text.brief(names[0]) in invoke(commands.compare, *at, f"--against={name}").output
    if len(values) > 1 and values[0] != values[1]:
        assert "template=" in shown[-1]


def check_other_commands(root: Path, run_ids: Sequence[str], folder: Path) -> None:
    at = ("--root", str(root))
    invoke(export, str(root), "--out", str(folder / "t.csv"))
    with (folder / "t.csv").open(newline="") as file:
        exported = list(csv.DictReader(file))
    assert {row["run"] for row in exported} == set(run_ids)
    assert any(row["name"].startswith("foreign/") for row in exported)
    invoke(export, str(root), "--out", str(folder / "t.parquet"))
    listed = invoke(status, *at, SWEEP).stdout
    assert is_plain(listed)
    assert len(listed.splitlines()) == len(run_ids) + 1
    assert {json.loads(line)["id"] for line in invoke(status, *at, "--json").stdout.splitlines()} == set(run_ids)
    invoke(logs, run_ids[0], *at)
    replayed = invoke(guard, "replay", SWEEP, *at).output
    assert is_plain(replayed)
    rows = table_rows(invoke(guard, "replay", SWEEP, "--markdown", *at).output)
    assert len(rows) == len(run_ids) + 1
    assert len({len(row) for row in rows}) == 1
    assert is_plain(invoke(refine, *at, "--measure", "peak entropy").output)
    assert is_plain(CliRunner().invoke(advise, list(at)).output)


def test_tables_and_lists_of_the_worst_texts(tmp_path: Path) -> None:
    run_ids = store(tmp_path / "runs", WORST)
    check_tables(tmp_path / "runs", WORST)
    check_other_commands(tmp_path / "runs", run_ids, tmp_path)


@given(TEXTS, TEXTS)
@settings(max_examples=4, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture], derandomize=True)
def test_tables_of_any_texts(tmp_path_factory: pytest.TempPathFactory, one: str, other: str) -> None:
    root = tmp_path_factory.mktemp("any")
    store(root / "runs", (one, other), seeds=(0,))
    check_tables(root / "runs", (one, other))


@pytest.fixture(scope="module")
def worst(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    root = tmp_path_factory.mktemp("worst") / "runs"
    store(root, WORST)
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        yield root


def svg_words(path: Path) -> str:
    nodes = ElementTree.parse(path).iter()  # noqa: S314  # our own file
    return " ".join("".join(node.itertext()) for node in nodes if node.tag.endswith("}text"))


def test_every_general_figure_shows_the_texts(worst: Path, tmp_path: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        invoke(commands.figures, SWEEP, *figures.names()[:3], "--out", str(tmp_path), "--root", str(worst))
    words = {path.stem: svg_words(path) for path in tmp_path.glob("*.svg")}
    assert words.keys() == set(figures.names()[:3])
    for shown in words.values():
        joined = re.sub(r"\s+", "", shown)
        for piece in ("[INST]q[/INST]", "$x^2$$", "<script>alert(1)</script>", "two⏎lines", "日本語", "\\frac{1}{2}"):
            assert piece in joined, piece
        assert len(joined) < 10_000


def test_every_figure_of_the_paper_is_drawn(worst: Path, tmp_path: Path) -> None:
    options = ("--format", "svg", "--out", str(tmp_path), "--root", str(worst), "--sweep", SWEEP)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        invoke(commands.figures, *paper.names(), *options)
    drawn = {path.stem for path in tmp_path.glob("*.svg")}
    assert {"fig2", "fig3", "fig7", "fig8", "fig9", "table2"} <= drawn
    for path in tmp_path.glob("*.svg"):
        svg_words(path)
    assert any("[INST]" in svg_words(tmp_path / f"{name}.svg") for name in ("fig3", "fig8"))
    with (tmp_path / "fig3.csv").open(newline="") as file:
        assert {"[INST]"} <= {row["x"][:6] for row in csv.DictReader(file)}


def test_the_report_holds_no_foreign_tag_and_all_text(worst: Path, tmp_path: Path) -> None:
    out = tmp_path / "r.html"
    invoke(report, SWEEP, "--no-figures", "--out", str(out), "--root", str(worst))
    page = Page()
    content = out.read_text()
    page.feed(content)
    assert "<script>alert" not in content
    assert content.count("<script") == 1
    assert not page.tags & {"img", "b", "i", "em", "iframe", "svg"}
    for arm in run_store.load(worst).arms:
        assert arm.shown in page.text
    assert SWEEP in page.text
    assert is_plain(page.text)
    assert len(content) < 200_000


def test_the_gallery_is_whole_markdown(worst: Path, tmp_path: Path) -> None:
    from analysis import gallery

    runs = run_store.load(worst)
    written = gallery.write(runs, tmp_path / "g.md", tmp_path / "pictures", source="[x]", names=("fig3", "table2"))
    content = written.page.read_text()
    assert "<script>" not in content
    tokens = MarkdownIt("gfm-like", {"linkify": False, "html": True}).parse(content)
    assert not {token.type for token in tokens} & {"html_block", "fence", "code_block"}
    inline = [child for token in tokens for child in token.children or []]
    assert not {child.type for child in inline} & {"html_inline"}


def test_a_closing_sweep_a_notebook_and_trackio_take_them(
    worst: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run_ids = sorted(path.parent.name for path in worst.glob("*/config.yaml"))
    closing.show(worst, run_ids[:2], SWEEP)
    shown = capsys.readouterr().out
    assert is_plain(shown)
    assert (worst / "figures" / SWEEP / "entropy_and_pass.png").is_file()
    opened = notebook.open_runs(str(worst))
    assert is_plain(str(opened))
    assert "drawn" in getattr(notebook.draw("noise_control", opened), "data", "")
    project = local.write(opened.runs, SWEEP, tmp_path / "trackio")
    assert text.is_file_name(project)


@pytest.mark.parametrize("word", ["x" * 300, "a/" * 300, "\udcff", "[/x]", "a b", "😀", "\x1b[31m"])
def test_a_word_that_names_nothing_gets_one_sentence(tmp_path: Path, word: str) -> None:
    write_run(tmp_path, "a")
    write_manifest(tmp_path, "demo", ["a"])
    for command in (commands.table, commands.figures, report, advise, status):
        result = invoke(command, word, "--root", str(tmp_path), expected=2)
        assert is_plain(result.output)
        assert len(result.output) < 1000
    invoke(export, word, "--out", str(tmp_path / "t.csv"), "--root", str(tmp_path), expected=2)
    invoke(commands.compare, "--against", word, "--root", str(tmp_path), expected=2)


def test_evaluations_of_a_run_directory_are_read_by_their_exact_problem(tmp_path: Path) -> None:
    run = RunDirectory(write_run(tmp_path, "a").path)
    with JsonlWriter(run.evaluation) as file:
        file.append({**evaluation_line(9, 0, 0), "problem": MARKUP, "data_set": "x\ny"})
    frame = run_store.load(tmp_path).evaluations
    assert (frame["problem"] == MARKUP).sum() == 1
    assert (frame["data_set"] == "x\ny").sum() == 1
