"""Figures as parts of a page: an SVG without what only a file of its own needs, and the fonts that its texts use."""

import base64
import io
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from html import unescape
from typing import Any

from fontTools import subset  # type: ignore[import-untyped]
from fontTools.ttLib import TTFont  # type: ignore[import-untyped]
from matplotlib.font_manager import FontProperties, findfont, get_font

_BEFORE = re.compile(r"\A.*?(?=<svg)", re.DOTALL)
# The page's own style has the rule of the first.
_FOR_FILES = re.compile(r"<defs>\s*<style[^>]*>.*?</style>\s*</defs>\s*|<metadata>.*?</metadata>\s*", re.DOTALL)
# Ids of groups are counted from 1 in each figure, and nothing refers to them. Texts have no "<".
_GROUP_ID = re.compile(r'<g id="[^"]*"')
_LINE_START = re.compile(r"^ +(?=<)", re.MULTILINE)
_TEXT = re.compile(r'<text style="([^"]*)"[^>]*>([^<]*)</text>')
# Tables of mathematics and of font editors, which no browser needs.
_NOT_NEEDED = ["MATH", "FFTM"]


@dataclass(frozen=True)
class Font:
    """What CSS chooses a font by.

    Attributes:
        families: names in the order in which a letter is looked for.
        weight: from 100 to 900.
        style: normal, italic or oblique.
    """

    families: tuple[str, ...]
    weight: str
    style: Any


def svg(file: bytes) -> str:
    """An SVG of matplotlib for a page that has others: they share no id, because each has its own hash salt."""
    text = _FOR_FILES.sub("", _BEFORE.sub("", file.decode(), count=1))
    return _LINE_START.sub("", _GROUP_ID.sub("<g", text)).strip()


def letters(svgs: Iterable[str]) -> dict[Font, frozenset[str]]:
    """The letters that SVGs of matplotlib draw with each font."""
    found: dict[Font, set[str]] = {}
    for picture in svgs:
        for style, text in _TEXT.findall(picture):
            found.setdefault(_font(unescape(style)), set()).update(unescape(text))
    return {font: frozenset(chars) for font, chars in found.items()}


def font_faces(drawn: dict[Font, frozenset[str]]) -> str:
    """CSS rules with the outlines of just these letters, from the files that matplotlib measured them in.

    A letter that no font here has is drawn by whatever font the reader's machine has for it.
    """
    return "\n".join(rule for font, chars in drawn.items() for rule in _rules(font, chars))


def _rules(font: Font, wanted: frozenset[str]) -> Iterator[str]:
    missing = {ord(char) for char in wanted}
    for family in font.families:
        try:
            chosen = FontProperties(family=[family], style=font.style, weight=int(font.weight))
            path = findfont(chosen, fallback_to_default=False)
        except ValueError:  # not on this machine
            continue
        if here := missing & get_font(path).get_charmap().keys():
            missing -= here
            yield (
                f'@font-face {{ font-family: "{family}"; font-weight: {font.weight}; font-style: {font.style}; '
                f"src: url(data:font/woff;base64,{base64.b64encode(_subset(path, here)).decode()}); }}"
            )


def _subset(path: str, codes: Iterable[int]) -> bytes:
    """A font file in WOFF with these characters and how they stand beside each other (kerning, ligatures)."""
    options = subset.Options(hinting=False, notdef_outline=True)
    options.drop_tables += _NOT_NEEDED
    with TTFont(path, fontNumber=getattr(path, "face_index", 0), lazy=True, recalcTimestamp=False) as font:
        chosen = subset.Subsetter(options)
        chosen.populate(unicodes=codes)
        chosen.subset(font)
        font.flavor = "woff"
        file = io.BytesIO()
        font.save(file, reorderTables=False)
    return file.getvalue()


def _font(style: str) -> Font:
    """The font of a text's style, as matplotlib writes it."""
    said = dict(part.strip().split(": ", 1) for part in style.split(";"))
    families = (name.strip(" '\"") for name in said["font-family"].split(","))
    return Font(tuple(families), said.get("font-weight", "400"), said.get("font-style", "normal"))
