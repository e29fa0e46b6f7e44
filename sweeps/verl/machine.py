"""Whether this machine, or the Ray cluster that it belongs to, can hold a run of verl."""

import os
import shutil
import subprocess
from collections.abc import Mapping

from qae.errors import ConfigError
from qae.nested import section, value_of

ATTENTION = "actor_rollout_ref.model.override_config.attn_implementation"
LOCAL_RAY = "local"  # as RAY_ADDRESS: start one, whatever runs on this machine
_OF_A_MACHINE = ("num_cpus", "num_gpus", "object_store_memory")
_CPU_MODEL = "rehearse on this machine with model=qwen3-random-tiny, or launch where the GPUs are"


def check(config: Mapping[str, object]) -> None:
    """Refuse a run whose GPUs are not here.

    On a Ray cluster that is there already (RAY_ADDRESS, or ``ray_kwargs.ray_init.address``) Ray knows what there is.

    Args:
        config: resolved, with ``backend: verl``.

    Raises:
        ConfigError: too few GPUs, or several nodes without a Ray cluster.
    """
    if joins_ray(config):
        return
    if nodes(config) > 1:
        raise ConfigError(
            "resources.nodes",
            nodes(config),
            "start Ray over the allocation and set RAY_ADDRESS, or give 1 for this machine alone",
        )
    if on_cpu(config):
        return
    wanted, here = value_of(config, "trainer.n_gpus_per_node"), gpus()
    if isinstance(wanted, int) and here < wanted:
        raise ConfigError("resources.gpus_per_node", wanted, f"this machine has {here} GPUs; {_CPU_MODEL}")


def joins_ray(config: Mapping[str, object]) -> bool:
    """Whether verl joins a Ray cluster that somebody started, rather than start its own on this machine."""
    address = os.environ.get("RAY_ADDRESS") or value_of(config, "ray_kwargs.ray_init.address")
    return bool(address) and address != LOCAL_RAY


def nodes(config: Mapping[str, object]) -> int:
    """Machines that a run of verl computes on."""
    found = value_of(config, "trainer.nnodes")
    return found if isinstance(found, int) else 1


def ray_options(config: Mapping[str, object]) -> dict[str, object]:
    """Options of `ray_kwargs.ray_init` for the start of Ray; a Ray that is joined has them already."""
    given = section(config, "ray_kwargs.ray_init")
    return {key: given[key] for key in _OF_A_MACHINE if given.get(key) is not None}


def without_ray_options(config: Mapping[str, object]) -> dict[str, object]:
    """A configuration for a Ray that is joined, which refuses `ray_options`."""
    given = section(config, "ray_kwargs.ray_init")
    joined = {key: value for key, value in given.items() if key not in _OF_A_MACHINE}
    return {**config, "ray_kwargs": {**section(config, "ray_kwargs"), "ray_init": joined}}


def on_cpu(config: Mapping[str, object]) -> bool:
    """Whether verl trains on the development aid for machines without a GPU."""
    return value_of(config, "trainer.device") == "cpu"


def flash_attention(config: Mapping[str, object]) -> bool:
    """Whether verl loads the model with flash attention of the package flash-attn, its default under FSDP."""
    chosen = value_of(config, ATTENTION)
    return (
        value_of(config, "model_engine") in (None, "dp") and str(chosen or "flash_attention_2") == "flash_attention_2"
    )


def without_rival_names(variables: Mapping[str, str]) -> dict[str, str]:
    """An environment that names the visible GPUs once: Slurm does for every vendor, which verl's workers refuse."""
    if "CUDA_VISIBLE_DEVICES" not in variables:
        return dict(variables)
    return {name: value for name, value in variables.items() if name != "ROCR_VISIBLE_DEVICES"}


def gpus() -> int:
    """NVIDIA GPUs that this process may use: what CUDA_VISIBLE_DEVICES leaves of those that the driver lists."""
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    program = shutil.which("nvidia-smi")
    if program is None or visible == "":
        return 0
    listed = subprocess.run([program, "-L"], capture_output=True, text=True, check=False, timeout=60)  # noqa: S603
    here = sum(line.startswith("GPU ") for line in listed.stdout.splitlines())
    return here if visible is None else min(here, len(visible.split(",")))
