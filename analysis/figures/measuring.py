"""What matplotlib makes and measures again and again while it draws a figure, made and measured once.

Texts, ticks and what stands around axes take most of its time. The names with an underscore are matplotlib's own: a
version without them draws the same figures, only slower.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from copy import copy
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.axis import Axis, Tick
from matplotlib.figure import Figure
from matplotlib.font_manager import FontManager, FontProperties, fontManager
from matplotlib.markers import MarkerStyle
from matplotlib.textpath import TextToPath
from matplotlib.transforms import Bbox

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

_IsMath: TypeAlias = bool | Literal["TeX"]
_Size: TypeAlias = tuple[float, float, float]
_Generic: TypeAlias = tuple[tuple[str, ...], ...]

_GENERIC_FONTS: tuple[Any, ...] = ("font.sans-serif", "font.serif", "font.monospace", "font.cursive", "font.fantasy")
_TICK_PARTS = ("tick1line", "tick2line", "gridline", "label1", "label2")
_TICKS = ("_update_ticks", "_get_ticklabel_bboxes")
_find: Any = getattr(FontManager, "_find_fonts_by_props", None)
_get_tick: Any = getattr(Axis, "_get_tick", None)
_measure = TextToPath().get_text_width_height_descent
_set_marker: Any = getattr(MarkerStyle, "_set_marker", None)


@contextmanager
def texts_once() -> Iterator[None]:
    """A context in which the font of a text is looked up once, and a text of an SVG is measured once.

    They hold however often the text stands in figures, until the fonts that generic families stand for are others.
    """
    generic: _Generic = tuple(tuple(mpl.rcParams[key]) for key in _GENERIC_FONTS)

    # A copy of the font is remembered, because the owner may change its font.
    def found(manager: FontManager, font: FontProperties, **options: object) -> Sequence[object]:
        return _find(manager, font, **options) if options else _font_files(font.copy(), generic)

    def measured(_: TextToPath, text: str, font: FontProperties, ismath: _IsMath) -> _Size:
        return _text_size(text, font.copy(), ismath, generic)

    with (
        _method(FontManager, "_find_fonts_by_props", found),
        _method(TextToPath, "get_text_width_height_descent", measured),
    ):
        yield


@lru_cache(maxsize=256)
def _font_files(font: FontProperties, _generic: _Generic) -> Sequence[object]:
    files: Sequence[object] = _find(fontManager, font)
    return files


@lru_cache(maxsize=8192)
def _text_size(text: str, font: FontProperties, ismath: _IsMath, _generic: _Generic) -> _Size:
    return _measure(text, font, ismath)


@contextmanager
def ticks_copied() -> Iterator[None]:
    """A context in which an axis makes its first tick and copies it for the others.

    Matplotlib makes each from its settings, lets it look like the first one, and copies the outlines of the markers.
    Nobody changes the marker of a line: lines get other markers.
    """
    with _method(Axis, "_get_tick", _copy_tick), _method(MarkerStyle, "_set_marker", _share_marker):
        yield


def _copy_tick(axis: Axis, major: bool) -> Tick:
    ticks: list[Tick] = vars(axis).get("majorTicks" if major else "minorTicks", [])
    if not ticks:
        first: Tick = _get_tick(axis, major)
        return first
    tick = copy(ticks[0])
    for part in _TICK_PARTS:
        setattr(tick, part, copy(getattr(tick, part)))
    return tick


def _share_marker(style: MarkerStyle, marker: object) -> None:
    if isinstance(marker, MarkerStyle):
        vars(style).update(vars(marker))
    else:
        _set_marker(style, marker)


@contextmanager
def ticks_once(figure: Figure) -> Iterator[None]:
    """A context in which ticks and the boxes around their labels are computed once: nothing that they rest on moves.

    An axis computes them for itself, for its label and for the title of its axes.
    """
    axes_of = ((axis, name) for axes in figure.axes for axis in (axes.xaxis, axes.yaxis) for name in _TICKS)
    with _instead((axis, name, _Once(getattr(axis, name))) for axis, name in axes_of if hasattr(axis, name)):
        yield


@contextmanager
def surroundings_once(figure: Figure) -> Iterator[None]:
    """A context in which ticks and titles of each axes are measured once, for the layout.

    Matplotlib's layout measures them twice, before and after it moves the axes.
    """
    boxes = ((axes, "get_tightbbox", _Surroundings(axes.get_tightbbox, axes)) for axes in figure.axes)
    with ticks_once(figure), _instead(boxes):
        yield


class _Once:
    """A method of an axis that is called once. Its answer does not depend on its arguments, a list and a renderer."""

    def __init__(self, compute: Callable[..., Sequence[object]]) -> None:
        self._compute = compute
        self._answers: list[Sequence[object]] = []

    def __call__(self, *arguments: object) -> Sequence[object]:
        if not self._answers:
            self._answers.append(self._compute(*arguments))
        return self._answers[0]


class _Surroundings:
    """The box around axes, their ticks and their titles. It is measured once and moves with the axes."""

    def __init__(self, measure: Callable[..., Bbox | None], axes: Axes) -> None:
        self._measure, self._axes = measure, axes
        self._beyond: npt.NDArray[np.float64] | None = None

    def __call__(self, *arguments: object, **options: object) -> Bbox | None:
        if self._beyond is None:
            box = self._measure(*arguments, **options)
            if box is None:
                return None
            self._beyond = box.get_points() - self._axes.bbox.get_points()
        return Bbox(self._axes.bbox.get_points() + self._beyond)


@contextmanager
def _method(owner: type, name: str, method: Callable[..., object]) -> Iterator[None]:
    """A context in which a class has another method; a class without it keeps what it has."""
    before = vars(owner).get(name)
    if before is not None:
        setattr(owner, name, method)
    try:
        yield
    finally:
        if before is not None:
            setattr(owner, name, before)


@contextmanager
def _instead(methods: Iterable[tuple[object, str, Callable[..., object]]]) -> Iterator[None]:
    """A context in which objects have other methods."""
    replaced = list(methods)
    for owner, name, method in replaced:
        vars(owner)[name] = method
    try:
        yield
    finally:
        for owner, name, _ in replaced:
            del vars(owner)[name]
