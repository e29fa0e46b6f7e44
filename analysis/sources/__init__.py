"""Where runs come from: one module a source, each returning `analysis.runs.frames.Runs`; `load` takes any of them."""

from analysis.sources.errors import SourceError
from analysis.sources.loading import load

__all__ = ["SourceError", "load"]
