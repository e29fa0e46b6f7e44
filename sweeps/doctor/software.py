"""Python, packages and what torch was built for."""

import re
from collections.abc import Mapping, Sequence

from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet

from sweeps.doctor.findings import Finding, Level
from sweeps.launching.needs import Needs

_OLDEST_PYTHON = (3, 11)
_OLDEST_VERL = (0, 9, 1)
_PINNED = ("vllm", "sglang", "flash-attn", "megatron-bridge")
# No run needs it. Where it is, verl (models/transformers/monkey_patch.py) imports a class that later versions lack.
_IMPORTED_IF_THERE = "trl"


def judge_python(version: tuple[int, int, int]) -> Finding:
    """The interpreter."""
    text = ".".join(map(str, version))
    if version < _OLDEST_PYTHON:
        return Finding("Python", Level.FAIL, f"{text}, 3.11 or later is needed", "`make setup PYTHON=python3.11`")
    return Finding("Python", Level.OK, text)


def judge_packages(needs: Needs, versions: Mapping[str, str], pins: Mapping[str, SpecifierSet]) -> list[Finding]:
    """Installed packages.

    Args:
        needs: of the run.
        versions: by name of the distribution; absent ones are not in it.
        pins: what verl's extras ask of some of them.
    """
    findings = []
    for name, fix in needs.packages.items():
        version, pin = versions.get(name), pins.get(name, SpecifierSet())
        if version is None:
            findings.append(Finding(name, Level.FAIL, "not installed", fix))
        elif name == "verl" and _numbers(version) < _OLDEST_VERL:
            findings.append(Finding(name, Level.FAIL, f"{version} is too old, 0.9.1 or later is needed", fix))
        elif not pin.contains(version, prereleases=True):
            message = f"{version}, the installed verl is made for {name}{pin}"
            findings.append(Finding(name, Level.WARN, message, f"`uv pip install '{name}{pin}'`, or `make setup-gpu`"))
        else:
            findings.append(Finding(name, Level.OK, version))
    return findings


def judge_trl(version: str | None, pins: Mapping[str, SpecifierSet]) -> list[Finding]:
    """A package that runs of verl do not need and may end by.

    Args:
        version: of the installed one; None where there is none.
        pins: what verl's extras ask of some packages.
    """
    pin = pins.get(_IMPORTED_IF_THERE, SpecifierSet())
    if version is None or pin.contains(version, prereleases=True):
        return []
    message = f"{version}, the installed verl is made for trl{pin} and may end with an ImportError beside another one"
    return [Finding("trl", Level.WARN, message, "`uv pip uninstall trl`: no run needs it")]


def pins(requirements: Sequence[str]) -> dict[str, SpecifierSet]:
    """What verl's extras ask of the packages that a run imports, by name of the distribution.

    Args:
        requirements: of verl, as its metadata lists them: ``vllm==0.24.0; extra == "vllm"``.
    """
    found = {}
    for text in requirements:
        requirement = Requirement(text)
        if requirement.name in (*_PINNED, _IMPORTED_IF_THERE) and requirement.specifier:
            found[requirement.name] = requirement.specifier
    return found


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(number) for number in re.findall(r"\d+", version)[:3])
