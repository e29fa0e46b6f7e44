"""Whether this machine, or the Ray cluster that it belongs to, can hold a run of verl."""

import os
import shutil
import subprocess
from collections.abc import Mapping
from typing import cast

from qae.errors import ConfigError

_CPU_MODEL = "rehearse on this machine with model=qwen3-random-tiny, or launch where the GPUs are"


def check(config: Mapping[str, object]) -> None:
    """Refuse a run whose GPUs are not here.

    On a Ray cluster that is there already (RAY_ADDRESS, or ``ray_kwargs.ray_init.address``) Ray knows what there is.

    Args:
        config: resolved, with ``backend: verl``.

    Raises:
        ConfigError: too few GPUs, or several nodes without a Ray cluster.
    """
    if on_cpu(config) or os.environ.get("RAY_ADDRESS") or _at(config, "ray_kwargs", "ray_init", "address"):
        return
    nodes, wanted = _at(config, "trainer", "nnodes"), _at(config, "trainer", "n_gpus_per_node")
    if isinstance(nodes, int) and nodes > 1:
        raise ConfigError(
            "resources.nodes",
            nodes,
            "start Ray over the allocation and set RAY_ADDRESS, or give 1 for this machine alone",
        )
    here = gpus()
    if isinstance(wanted, int) and here < wanted:
        raise ConfigError("resources.gpus_per_node", wanted, f"this machine has {here} GPUs; {_CPU_MODEL}")


def on_cpu(config: Mapping[str, object]) -> bool:
    """Whether verl trains on the development aid for machines without a GPU."""
    return _at(config, "trainer", "device") == "cpu"


def gpus() -> int:
    """NVIDIA GPUs that this process may use: what CUDA_VISIBLE_DEVICES leaves of those that the driver lists."""
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    program = shutil.which("nvidia-smi")
    if program is None or visible == "":
        return 0
    listed = subprocess.run([program, "-L"], capture_output=True, text=True, check=False, timeout=60)  # noqa: S603
    here = sum(line.startswith("GPU ") for line in listed.stdout.splitlines())
    return here if visible is None else min(here, len(visible.split(",")))


def _at(config: Mapping[str, object], *path: str) -> object:
    found: object = config
    for part in path:
        found = cast("Mapping[str, object]", found).get(part) if isinstance(found, Mapping) else None
    return found
