"""What is measured once gives the same picture as what matplotlib measures each time."""

import io
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext

import matplotlib as mpl
import pytest
from matplotlib.axis import Axis
from matplotlib.figure import Figure
from matplotlib.font_manager import FontManager, FontProperties
from matplotlib.markers import MarkerStyle
from matplotlib.textpath import TextToPath

from analysis import figures
from analysis.figures import measuring, style
from analysis.runs.frames import Runs
from analysis.sources import run_store
from tests.analysis.stores import write_sweep

# Shared scales, hidden axes, two y axes, logarithmic axes, axes without a title, categories.
NAMES = ("advantage_shares", "entropy_by_sign", "fig1", "fig3", "k_response", "table2")


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Runs:
    folder = tmp_path_factory.mktemp("store")
    write_sweep(folder)
    return run_store.load(folder)


def written(figure: Figure, suffix: str) -> bytes:
    file = io.BytesIO()
    style.save(figure, file, suffix, dpi=60)
    return file.getvalue()


@contextmanager
def _nothing(_: Figure) -> Iterator[None]:
    yield


@pytest.mark.slow
@pytest.mark.parametrize("suffix", ["svg", "png"])
def test_a_picture_is_the_same_without_memory(runs: Runs, suffix: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def pictures() -> dict[str, bytes]:
        found = {}
        for name in NAMES:
            figure = figures.draw(name, runs, "a test")
            style.settle(figure, 60, as_svg=suffix == "svg")
            found[name] = written(figure, suffix)
        return found

    remembered = pictures()
    monkeypatch.setattr(measuring, "ticks_once", _nothing)
    monkeypatch.setattr(measuring, "texts_once", nullcontext)
    monkeypatch.setattr(measuring, "ticks_copied", nullcontext)
    assert pictures() == remembered


def test_ticks_are_computed_once_for_an_axis(runs: Runs) -> None:
    figure = figures.draw("entropy_and_pass", runs, "a test")
    style.settle(figure, as_svg=True)
    axis, asked = figure.axes[0].yaxis, []
    formatter = axis.get_major_formatter()
    format_ticks = formatter.format_ticks
    formatter.format_ticks = lambda values: asked.append(values) or format_ticks(values)  # type: ignore[func-returns-value,method-assign]
    written(figure, "svg")
    assert len(asked) == 1


@pytest.mark.slow
def test_ticks_follow_the_limits_after_a_picture_is_written(runs: Runs) -> None:
    figure = figures.draw("entropy_and_pass", runs, "a test")
    style.settle(figure)
    before = written(figure, "svg")
    figure.axes[0].set_ylim(0, 500)
    assert b">400<" not in before
    assert b">400<" in written(figure, "svg")


def test_texts_are_measured_again_in_another_font() -> None:
    def width(family: str) -> float:
        with mpl.rc_context({"font.sans-serif": [family]}), style.house():
            return TextToPath().get_text_width_height_descent("willow", FontProperties(), ismath=False)[0]

    assert width("DejaVu Sans Mono") != width("DejaVu Sans")
    assert width("DejaVu Sans Mono") == width("DejaVu Sans Mono")


def test_the_fonts_of_a_pdf_are_looked_for_where_it_asks() -> None:
    figure = Figure()
    figure.text(0, 0, "willow")
    with mpl.rc_context({"pdf.use14corefonts": True}):
        assert b"/Helvetica" in written(figure, "pdf")


def test_matplotlib_measures_for_itself_outside_the_house_style() -> None:
    def own() -> list[object]:
        owners = (TextToPath, "get_text_width_height_descent"), (FontManager, "_find_fonts_by_props")
        return [vars(owner)[name] for owner, name in (*owners, (MarkerStyle, "_set_marker"), (Axis, "_get_tick"))]

    before = own()
    with style.house():
        assert not set(own()) & set(before)
    assert own() == before
