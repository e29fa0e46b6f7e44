"""The report as one HTML file: everything it needs is inside, so that it opens from disk without a network."""

from importlib import resources

from jinja2 import Environment, StrictUndefined

from analysis.report.contents import Contents


def html(contents: Contents) -> str:
    """Lay the report out."""
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    folder = resources.files(__package__)
    template = environment.from_string((folder / "report.html.j2").read_text(encoding="utf-8"))
    return template.render(
        report=contents,
        style=(folder / "report.css").read_text(encoding="utf-8"),
        script=(folder / "report.js").read_text(encoding="utf-8"),
    )
