"""SVGs inside a page: texts stay texts, and the page has the letters of the fonts that matplotlib measured them in."""

import base64
import io
import json
import re
from pathlib import Path

import matplotlib as mpl
import pytest
from fontTools.ttLib import TTFont  # type: ignore[import-untyped]
from hypothesis import given, settings
from hypothesis import strategies as st
from matplotlib.font_manager import FontProperties, findfont, get_font
from matplotlib.textpath import TextToPath

from analysis.figures import style
from analysis.report import inline
from tests.analysis.report import browser

pytestmark = pytest.mark.slow

HOSTILE = (
    "</text><script>alert(1)</script>",
    '" onload="alert(1)',
    "--> <!-- ]]> </style>",
    "$x_1$ &amp; <b>&lt;</b>",
    "url(#p0) id='text_1' {{ report }}",
    "fi ffl AVAT  two spaces",
    "Größe naïve Ελλάς Кириллица ≥ \u2212 · … ⏎ λ∞√ עברית العربية é",
)


def drawn(*labels: str, name: str = "one") -> str:
    """A picture of an axes with a line, a title and a text for each label."""
    with style.house():
        figure, [[axes]] = style.new_figure(1, 1, width=4, height=3)
        axes.plot([0, 1], [0.25, 1], "o")
        axes.set_title(labels[0])
        for at, label in enumerate(labels):
            axes.text(0.1, 1 - 0.1 * at, label)
    style.settle(figure, as_svg=True)
    file = io.BytesIO()
    style.save(figure, file, "svg", name=name)
    return inline.svg(file.getvalue())


def page(path: Path, *pictures: str) -> Path:
    faces = inline.font_faces(inline.letters(pictures))
    css = f"{faces}\ntext {{ white-space: pre; text-rendering: geometricPrecision; }}"
    path.write_text(
        f'<!DOCTYPE html><html><head><meta charset="utf-8"><style>{css}</style></head><body>{"".join(pictures)}'
        "</body></html>",
        encoding="utf-8",
    )
    return path


def embedded(css: str) -> list[TTFont]:
    """The fonts in rules of CSS, opened."""
    found = re.findall(
        r'@font-face \{ font-family: "[^"]+"; font-weight: \d+; font-style: \w+; '
        r"src: url\(data:font/woff;base64,([A-Za-z0-9+/=]+)\); \}",
        css,
    )
    assert len(found) == css.count("@font-face")
    return [TTFont(io.BytesIO(base64.b64decode(font, validate=True))) for font in found]


def in_a_font(char: str) -> bool:
    return ord(char) in get_font(findfont(FontProperties())).get_charmap()


@settings(max_examples=10, deadline=None)
@given(st.text(st.characters(exclude_categories=("Cs", "Cc", "Zl", "Zp", "Cn", "Co")), min_size=1, max_size=30))
def test_every_letter_that_matplotlib_has_is_in_the_page(label: str) -> None:
    drawn_letters = inline.letters([drawn(label)])
    every = frozenset().union(*drawn_letters.values())
    assert every >= set(label) | set("0.")
    codes = {code for font in embedded(inline.font_faces(drawn_letters)) for code in font.getBestCmap()}
    assert codes >= {ord(char) for char in every if in_a_font(char)}


def test_the_page_has_no_letter_that_is_not_drawn() -> None:
    [font] = embedded(inline.font_faces(inline.letters([drawn("Q"), drawn("Z", name="two")])))
    assert {"Q", "Z"} <= {chr(code) for code in font.getBestCmap()} <= {*"QZ.", *map(str, range(10))}


def test_a_letter_comes_from_the_first_font_that_has_it() -> None:
    with mpl.rc_context({"font.family": ["DejaVu Sans Mono", "DejaVu Sans"]}):
        drawn_letters = inline.letters([drawn("a ע")])
        mono, sans = embedded(inline.font_faces(drawn_letters))
    assert {"a", "0"} <= {chr(code) for code in mono.getBestCmap()}
    assert [chr(code) for code in sans.getBestCmap()] == ["ע"]


def test_bold_letters_have_the_bold_font() -> None:
    with mpl.rc_context({"axes.titleweight": "bold"}):
        drawn_letters = inline.letters([drawn("B")])
    by_weight = {font.weight: letters for font, letters in drawn_letters.items()}
    assert by_weight["700"] == {"B"}
    rules = inline.font_faces(drawn_letters).splitlines()
    [[bold]] = [embedded(rule) for rule in rules if "font-weight: 700" in rule]
    assert bold["OS/2"].usWeightClass == 700


def test_pictures_in_one_page_share_no_id_and_refer_to_their_own() -> None:
    pictures = [drawn("a", name=name) for name in ("one", "two")]
    ids = [set(re.findall(r'\bid="([^"]+)"', picture)) for picture in pictures]
    assert all(ids)
    assert not ids[0] & ids[1]
    for own, picture in zip(ids, pictures, strict=True):
        assert set(re.findall(r"(?:url\(#|href=\"#)([^)\"]+)", picture)) <= own


def test_a_picture_is_an_element_and_no_file_of_its_own() -> None:
    picture = drawn("a")
    assert picture.startswith("<svg")
    assert picture.endswith("</svg>")
    assert not re.search(r"<\?xml|<!DOCTYPE|<style|<metadata", picture)


def test_hostile_texts_stay_texts_and_are_as_wide_in_a_browser_as_in_matplotlib(tmp_path: Path) -> None:
    script = """
    return [...document.querySelectorAll("text")].map((text) => [
      text.textContent, text.getComputedTextLength(), parseFloat(getComputedStyle(text).fontSize),
    ]);
    """
    told = browser.ask(page(tmp_path / "page.html", drawn(*HOSTILE)), script)
    assert isinstance(told, list)
    assert {text for text, *_ in told} >= set(HOSTILE)
    measure = TextToPath().get_text_width_height_descent
    for text, width, size in told:
        if all(map(in_a_font, text)):
            expected = measure(text, FontProperties(size=size), ismath=False)[0]
            assert width == pytest.approx(expected, rel=0.02, abs=1.5), json.dumps(text)
