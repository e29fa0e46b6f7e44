"""Registration that waits for a module of verl: importing its trainer in every worker would cost them all seconds."""

import importlib
import importlib.abc
import importlib.util
import sys
from collections.abc import Sequence
from importlib.machinery import ModuleSpec
from types import ModuleType


class _AfterImport(importlib.abc.MetaPathFinder):
    """Lets one module load as usual and then imports another; takes itself away."""

    def __init__(self, module: str, then: str) -> None:
        self._module = module
        self._then = then

    def find_spec(
        self,
        fullname: str,
        path: Sequence[str] | None,  # noqa: ARG002  # the protocol's arguments
        target: ModuleType | None = None,  # noqa: ARG002
    ) -> ModuleSpec | None:
        if fullname != self._module:
            return None
        sys.meta_path.remove(self)
        spec = importlib.util.find_spec(fullname)
        if spec is None or spec.loader is None:
            return spec
        execute = spec.loader.exec_module

        def exec_module(module: ModuleType) -> None:
            execute(module)
            importlib.import_module(self._then)

        spec.loader.exec_module = exec_module  # type: ignore[method-assign]  # this loader serves this module only
        return spec


def after_import(module: str, then: str) -> None:
    """Import `then` as soon as `module` has been imported; at once where it has been already."""
    if module in sys.modules:
        importlib.import_module(then)
    else:
        sys.meta_path.insert(0, _AfterImport(module, then))
