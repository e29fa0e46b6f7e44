"""What notebooks begin with: runs from one variable, pictures that follow sliders."""

from pathlib import Path

import pytest
from ipywidgets import FloatSlider, Image
from matplotlib.figure import Figure

from analysis import method_figures, notebook
from analysis.sources import SourceError
from tests.analysis.stores import write_run, write_sweep


@pytest.fixture(autouse=True)
def _nothing_set(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("QAE_SOURCE", raising=False)
    monkeypatch.delenv("QAE_RUNS", raising=False)


def test_runs_are_found_above_the_notebook(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_sweep(tmp_path / "runs")
    (tmp_path / "notebooks").mkdir()
    monkeypatch.chdir(tmp_path / "notebooks")
    opened = notebook.open_runs()
    assert len(opened.runs.records) == 6
    assert str(opened) == f"6 runs in 3 arms from {tmp_path.name}/runs"


def test_one_variable_names_the_source(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_sweep(tmp_path / "store")
    write_run(tmp_path / "store", "another", {"seed": 7})
    monkeypatch.setenv("QAE_RUNS", str(tmp_path / "store"))
    assert len(notebook.open_runs().runs.records) == 7
    monkeypatch.setenv("QAE_SOURCE", "demo")
    assert len(notebook.open_runs().runs.records) == 6
    assert len(notebook.open_runs(str(tmp_path / "store" / "another")).runs.records) == 1


def test_where_there_are_no_runs_a_sentence_says_how_to_get_some(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SourceError, match="make sweep"):
        notebook.open_runs()


@pytest.mark.slow
def test_a_picture_follows_its_slider() -> None:
    slider = FloatSlider(value=0.4, min=0.05, max=0.95)
    box = notebook.explore(method_figures.weights, [slider])
    picture = box.children[-1]
    assert isinstance(picture, Image)
    before = picture.value
    slider.value = 0.8
    assert before[:4] == picture.value[:4] == b"\x89PNG"
    assert picture.value != before


def test_what_a_slider_cannot_draw_is_an_error_at_once() -> None:
    def fail(_: float) -> Figure:
        raise ValueError("no such figure")

    with pytest.raises(ValueError, match="no such figure"):
        notebook.explore(fail, [FloatSlider()])
