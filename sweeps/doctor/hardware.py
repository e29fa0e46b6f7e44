"""GPUs, CPUs, memory and the limits of a process."""

from collections.abc import Sequence
from dataclasses import dataclass

from sweeps.doctor.findings import Finding, Level
from sweeps.launching.needs import GIB, Needs, size

_RECIPE_GPU_MIB = 70_000  # the recipes are for GPUs of 80 GB
_BUSY_GPU_MIB = 2_000
# Each of Ray's processes holds hundreds of files and sockets, and there are some for every GPU.
_OPEN_FILES_OF_RAY = 4_096
_OPEN_FILES_WITH_GPUS = 65_536
_OPEN_FILES_OTHERWISE = 256
_PROCESSES_WITH_GPUS = 16_384
# By major version of CUDA: NVIDIA, CUDA Compatibility, minor version compatibility.
_OLDEST_DRIVER = {"12": 525, "13": 580}
_SHARED_MEMORY = {True: 16 * GIB, False: 2 * GIB}


@dataclass(frozen=True)
class Torch:
    """What torch says of itself: version, CUDA version it was built for, whether it can use a GPU."""

    version: str
    cuda: str | None
    usable: bool


@dataclass(frozen=True)
class Gpu:
    """A GPU as nvidia-smi lists it; memory in MiB."""

    name: str
    memory: int
    used: int
    driver: str


def judge_gpus(needs: Needs, gpus: Sequence[Gpu], torch: Torch | None) -> list[Finding]:
    """GPUs and whether torch can use them.

    Args:
        needs: of the run; without GPUs nothing is looked at.
        gpus: as nvidia-smi lists them.
        torch: None where it cannot be imported.
    """
    if needs.gpus == 0:
        return []
    if len(gpus) < needs.gpus:
        wanted = f"{needs.gpus} on each of {needs.nodes} nodes" if needs.nodes > 1 else str(needs.gpus)
        message = f"{len(gpus) or 'none'} here, model={needs.model} takes {wanted}"
        fix = "run inside an allocation, look at a compute node with --slurm, or set resources.gpus_per_node"
        return [Finding("GPUs", Level.FAIL, message, fix)]
    message = f"{len(gpus)} x {gpus[0].name}, {gpus[0].memory / 1024:.0f} GiB, driver {gpus[0].driver}"
    smallest, busy = min(gpu.memory for gpu in gpus), sum(gpu.used > _BUSY_GPU_MIB for gpu in gpus)
    finding = Finding("GPUs", Level.OK, message)
    if busy:
        finding = Finding(
            "GPUs", Level.WARN, f"{message}; {busy} in use", "`nvidia-smi` shows whose processes they are"
        )
    elif smallest < _RECIPE_GPU_MIB:
        fix = "expect to offload (actor_rollout_ref.actor.fsdp_config.param_offload=true) or to use more GPUs"
        finding = Finding("GPUs", Level.WARN, f"{message}; the recipes are for 80 GB", fix)
    return [finding, _judge_cuda(torch, gpus[0].driver)]


def judge_cpus(needs: Needs, cpus: int) -> list[Finding]:
    """CPUs that this process may use; of runs on GPUs."""
    if not needs.gpus or needs.cpus is None:
        return []
    message = f"{cpus} here, a run asks for {needs.cpus}"
    if cpus >= needs.cpus:
        return [Finding("CPUs", Level.OK, message)]
    level = Level.FAIL if cpus < needs.gpus else Level.WARN
    fix = "ask for them (slurm.cpus_per_task, srun --cpus-per-task), or lower resources.cpus_per_gpu and expect to wait"
    return [Finding("CPUs", level, message, fix)]


def judge_memory(needs: Needs, available: int | None) -> list[Finding]:
    """Main memory that this process may use, in bytes; None where the system does not say."""
    if not needs.memory_bytes or available is None:
        return []
    message = f"{size(available)} here, a run takes about {size(needs.memory_bytes)} of a node"
    if available >= needs.memory_bytes:
        return [Finding("memory", Level.OK, message)]
    fix = "ask for more (resources.memory; srun --mem=0 takes all of a node), or spread the run (resources.nodes)"
    return [Finding("memory", Level.WARN, message, fix)]


def judge_locked_memory(needs: Needs, soft: float) -> list[Finding]:
    """The limit of locked memory in bytes, which NCCL registers with the network's cards; of several nodes."""
    if needs.nodes < 2 or not needs.gpus:
        return []
    if soft < GIB:
        fix = "`ulimit -l unlimited`; where that is refused, ask for it in the limits of slurmd"
        return [Finding("locked memory", Level.WARN, f"limit {soft / 1024:,.0f} KiB, NCCL over InfiniBand fails", fix)]
    return [Finding("locked memory", Level.OK, "no limit that matters")]


def judge_processes(needs: Needs, soft: float) -> list[Finding]:
    """The limit of processes and threads, of which Ray starts thousands on a node."""
    if not needs.gpus:
        return []
    if soft < _PROCESSES_WITH_GPUS:
        fix = f"`ulimit -u {_PROCESSES_WITH_GPUS}`, or ask an administrator"
        return [Finding("processes", Level.WARN, f"limit {soft:,.0f}, {_PROCESSES_WITH_GPUS:,} is safe", fix)]
    return [Finding("processes", Level.OK, "no limit that matters")]


def _judge_cuda(torch: Torch | None, driver: str) -> Finding:
    if torch is None:
        return Finding("CUDA", Level.FAIL, "torch cannot be imported", "`.venv/bin/python -c 'import torch'` says why")
    if torch.cuda is None:
        fix = "install a CUDA build of torch; `verl[vllm]` brings one"
        return Finding("CUDA", Level.FAIL, f"torch {torch.version} is built for CPUs", fix)
    if not torch.usable:
        oldest = _OLDEST_DRIVER.get(torch.cuda.partition(".")[0])
        asked = f", CUDA {torch.cuda} asks for {oldest} or later" if oldest else ""
        message = f"torch {torch.version} (CUDA {torch.cuda}) finds no usable GPU; driver {driver}{asked}"
        fix = "have the driver updated, or train in a container that brings CUDA's compatibility libraries"
        return Finding("CUDA", Level.FAIL, message, fix)
    return Finding("CUDA", Level.OK, f"torch {torch.version} for CUDA {torch.cuda}")


def judge_shared_memory(needs: Needs, free: int | None) -> Finding:
    """The shared memory that holds Ray's objects; `free` in bytes, None where there is none."""
    least = _SHARED_MEMORY[needs.gpus > 0]
    if free is None or free < least:
        message = "there is no /dev/shm" if free is None else f"{size(free)} free in /dev/shm"
        fix = f"have at least {size(least)} (containers: --shm-size={least // GIB}g); Ray falls back to disk otherwise"
        return Finding("shared memory", Level.WARN, message, fix)
    return Finding("shared memory", Level.OK, f"{size(free)} free in /dev/shm")


def judge_open_files(needs: Needs, soft: int, hard: int) -> Finding:
    """The limit of open files."""
    least = _OPEN_FILES_OF_RAY if needs.ray else _OPEN_FILES_OTHERWISE
    if needs.gpus:
        least = _OPEN_FILES_WITH_GPUS
    if soft < least:
        fix = f"`ulimit -n {least}` before the run"
        if hard < least:
            fix = f"ask an administrator to raise the hard limit, {hard}"
        return Finding("open files", Level.WARN, f"limit {soft}, {least} is safe", fix)
    return Finding("open files", Level.OK, f"limit {soft}")
