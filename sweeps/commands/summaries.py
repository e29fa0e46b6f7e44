"""One line per command for `qae --help`, read off the source of the command: to import all commands takes seconds."""

import ast
import textwrap
from functools import cache
from importlib.metadata import EntryPoint
from importlib.util import find_spec
from pathlib import Path

from qae.console.text import one_line


def summary(point: EntryPoint, letters: int) -> str:
    """The `short_help` of a command, else the first sentence of its docstring.

    Args:
        point: of the group ``qae.commands``.
        letters: at most so many, with … at the end of a sentence that is cut.

    Returns:
        a hint at the command's own help where the source cannot be read, as in a package without sources.
    """
    for function in _functions(point.module):
        if function.name == point.attr and (text := _short_help(function) or ast.get_docstring(function)):
            return textwrap.shorten(_first_sentence(text), letters, placeholder="…")
    return f"see `qae {point.name} --help`"


def _first_sentence(text: str) -> str:
    sentence, stop, _ = one_line(text).partition(". ")
    return sentence + stop.strip()


@cache
def _functions(module: str) -> tuple[ast.FunctionDef, ...]:
    try:
        spec = find_spec(module)
        source = Path(spec.origin).read_text() if spec and spec.origin else ""
        return tuple(node for node in ast.parse(source).body if isinstance(node, ast.FunctionDef))
    except (ImportError, OSError, ValueError, SyntaxError):
        return ()


def _short_help(function: ast.FunctionDef) -> str:
    """What the command's decorator says, or nothing."""
    for decorator in function.decorator_list:
        for keyword in decorator.keywords if isinstance(decorator, ast.Call) else ():
            if keyword.arg == "short_help" and isinstance(keyword.value, ast.Constant):
                return str(keyword.value.value)
    return ""
