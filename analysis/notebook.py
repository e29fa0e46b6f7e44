"""What every notebook begins with: runs from one variable, figures as pictures."""

import io
import os
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd
from matplotlib.figure import Figure

from analysis import figures, sources
from analysis.figures import paper, style
from analysis.figures.missing import MissingDataError
from analysis.runs.frames import Runs
from analysis.runs.identity import ArmRule
from analysis.sources import loading
from qae.console.text import markdown_sentence, one_line

if TYPE_CHECKING:
    from IPython.display import Image, Markdown
    from ipywidgets import Box, FloatSlider, IntSlider

_SCREEN_DOTS_AN_INCH = 96
# Two dollars in the name of an arm are no formula.
pd.set_option("display.html.use_mathjax", False)  # pandas' signature


@dataclass(frozen=True)
class Opened:
    """Runs and where they come from.

    Attributes:
        runs: the runs.
        source: their source, for captions.
    """

    runs: Runs
    source: str

    def __str__(self) -> str:
        runs, arms = len(self.runs.records), len(self.runs.arms)
        what = f"{runs} {'run' if runs == 1 else 'runs'} in {arms} {'arm' if arms == 1 else 'arms'}"
        return "\n".join(map(one_line, [f"{what} from {self.source}", *self.runs.all_notes]))


def open_runs(
    source: str = "", *, seed_key: Iterable[str] = (), ignore: Iterable[str] = (), split: Iterable[str] = ()
) -> Opened:
    """Runs from whatever holds them.

    Args:
        source: what `analysis.sources.load` takes: a folder of runs, a sweep's name, offline files of W&B, a W&B
            project (entity/project). By default $QAE_SOURCE; where that is not set $QAE_RUNS, or the folder ``runs``
            here or in a folder above, since a notebook runs in its own folder.
        seed_key: keys of the training seed, as ``--seed-key`` of `qae table` (docs/sources.md).
        ignore: keys that make no arms, as ``--ignore``.
        split: keys that do, as ``--split``.

    Raises:
        SourceError: there is none, it holds no run, or no run has one of the keys.
    """
    store = Path(os.environ.get("QAE_RUNS", "")) if os.environ.get("QAE_RUNS") else _store_above(Path.cwd())
    chosen = source or os.environ.get("QAE_SOURCE") or str(store)
    if not source and not os.environ.get("QAE_SOURCE") and not store.is_dir():
        raise sources.SourceError(
            "there are no runs here yet: `make sweep` makes some, or set QAE_SOURCE to a folder or a W&B project"
        )
    rule = ArmRule(tuple(seed_key), tuple(ignore), tuple(split))
    opened = Opened(sources.load(chosen, root=store, rule=rule), loading.shown(chosen))
    if not opened.runs.records:
        raise sources.SourceError(f"'{chosen}' holds no run that can be read")
    return opened


def show(figure: Figure) -> "Image":
    """The figure as a picture."""
    from IPython.display import Image

    return Image(_png(figure), format="png", width=_width(figure))


def explore(make: Callable[..., Figure], sliders: "Sequence[FloatSlider | IntSlider]") -> "Box":
    """A figure that follows sliders.

    Not ipywidgets' `interact`: that keeps what a function raises inside its output, where an executed notebook hides
    it, and executing it without a browser can wait for a lost wake-up until the cell's timeout.

    Args:
        make: makes the figure of the sliders' values, in their order.
        sliders: what the reader moves.
    """
    from ipywidgets import Image, VBox

    picture = Image(format="png")

    def follow(_: object = None) -> None:
        figure = make(*(slider.value for slider in sliders))
        picture.value, picture.width = _png(figure), str(_width(figure))

    for slider in sliders:
        slider.observe(follow, "value")
    follow()
    return VBox([*sliders, picture])


def draw(name: str, opened: Opened) -> "Image | Markdown":
    """A figure of `analysis.figures` or of the paper, or the sentence that says what it lacks."""
    from IPython.display import Markdown

    try:
        return show(figures.draw(name, opened.runs, opened.source))
    except MissingDataError as error:
        return Markdown(markdown_sentence(f"{name} is not drawn: {error}"))


def claims(names: Iterable[str], opened: Opened) -> pd.DataFrame:
    """What becomes of the paper's claims: one row per claim of the figures that the runs have data for."""
    rows = []
    for name in names:
        try:
            prepared = paper.prepare(name, opened.runs)
        except MissingDataError:
            continue
        rows += [
            {"figure": name, "claim": found.claim, "here": str(found.verdict), "on": found.numbers}
            for found in prepared.findings
        ]
    return pd.DataFrame(rows, columns=["figure", "claim", "here", "on"])


def _png(figure: Figure) -> bytes:
    file = io.BytesIO()
    with style.house():
        figure.savefig(file, format="png")
    return file.getvalue()


def _width(figure: Figure) -> int:
    """Width on the screen: a picture has more dots than that, so that it is sharp on any."""
    return round(figure.get_figwidth() * _SCREEN_DOTS_AN_INCH)


def _store_above(folder: Path) -> Path:
    found = (above / "runs" for above in (folder, *folder.parents) if (above / "runs").is_dir())
    return next(found, folder / "runs")
