"""config.yaml: a run's resolved configuration as `OmegaConf.to_yaml` writes it, by libyaml in a seventh of its time."""

from collections.abc import Mapping
from contextlib import suppress
from typing import Any

import yaml

# Words that OmegaConf reads as true or false; PyYAML takes y and n for text.
_SINGLE_LETTERS = frozenset("yYnN")


class _Dumper(yaml.CSafeDumper):
    """Quotes texts that OmegaConf would read as numbers, and writes a list anew wherever it stands."""

    def ignore_aliases(self, data: object) -> bool:  # noqa: ARG002  # PyYAML's signature
        return True


def _represented(dumper: _Dumper, text: str) -> yaml.ScalarNode:
    quoted = text in _SINGLE_LETTERS or _is_number(text)
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style="'" if quoted else None)


def _is_number(text: str) -> bool:
    with suppress(ValueError):
        float(text)  # takes whatever `int` takes
        return True
    return False


_Dumper.add_representer(str, _represented)


def dumped(config: Mapping[str, Any]) -> str:
    """The text of a configuration whose values are numbers, texts, true, false, null, lists and mappings of these."""
    text: str = yaml.dump(config, Dumper=_Dumper, default_flow_style=False, allow_unicode=True, sort_keys=False)
    return text
