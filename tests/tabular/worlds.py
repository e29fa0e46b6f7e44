"""Tabular runs for tests: a world that trains in a moment."""

from collections.abc import Sequence

from qae.tabular.config import TabularConfig
from tests.support.configs import QUICK, embedded_mapping


def small(*overrides: str, groups: Sequence[str] = ()) -> TabularConfig:
    """A run of the small world."""
    return TabularConfig.from_mapping(embedded_mapping(*QUICK, *overrides, groups=groups))
