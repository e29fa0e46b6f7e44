"""The CPU as a platform of verl (verl/plugin/platform)."""

import functools
from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType

import torch
import torch.distributed
from verl.plugin.platform import PlatformBase, PlatformRegistry, set_platform

NAME = "cpu"


def _device_module() -> ModuleType:
    """What verl calls of `torch.cuda`, with nothing behind it."""
    module = ModuleType("qae_cpu_device")
    for name in ("memory_allocated", "memory_reserved", "max_memory_allocated", "max_memory_reserved"):
        setattr(module, name, lambda *_, **__: 0)
    for name in (
        "empty_cache",
        "synchronize",
        "reset_peak_memory_stats",
        "set_device",
        "ipc_collect",
        "manual_seed",
        "manual_seed_all",
        "set_per_process_memory_fraction",
    ):
        setattr(module, name, lambda *_, **__: None)
    for name, value in {
        "is_available": lambda: False,
        "device_count": lambda: 1,
        "current_device": lambda: NAME,
        "get_device_name": lambda *_: NAME,
        "mem_get_info": lambda *_: (0, 0),
        "get_rng_state": torch.get_rng_state,
        "set_rng_state": torch.set_rng_state,
        "current_stream": torch.cpu.current_stream,
        "Stream": torch.cpu.Stream,
        "stream": torch.cpu.stream,
    }.items():
        setattr(module, name, value)
    return module


class CpuPlatform(PlatformBase):
    """One CPU, which Ray counts as one logical GPU (``ray_init.num_gpus=1``)."""

    device_name = NAME
    vendor_name = NAME
    device_module = _device_module()

    def is_available(self) -> bool:
        return True

    def is_platform_available(self, use_smi_check: bool = False) -> bool:
        return True

    def current_device(self) -> str:
        return NAME

    def device_count(self) -> int:
        return 1

    def set_device(self, device_index: int) -> None: ...

    def synchronize(self, device_index: int | None = None) -> None: ...

    def manual_seed(self, seed: int) -> None:
        torch.manual_seed(seed)

    def manual_seed_all(self, seed: int) -> None:
        torch.manual_seed(seed)

    def set_allocator_settings(self, settings: str) -> None: ...

    def empty_cache(self) -> None: ...

    def get_device_capability(self, device_index: int = 0) -> tuple[None, None]:
        return (None, None)

    def communication_backend_name(self) -> str:
        return "gloo"

    def visible_devices_envvar(self) -> str:
        return "CUDA_VISIBLE_DEVICES"

    @contextmanager
    def nvtx_range(self, message: str) -> Iterator[None]:
        yield

    def profiler_start(self) -> None: ...

    def profiler_stop(self) -> None: ...

    def ray_resource_name(self) -> str:
        return "GPU"

    def ray_noset_envvars(self) -> list[str]:
        return []

    def is_ipc_supported(self) -> bool:
        return False

    def cudart(self) -> None: ...


def install() -> None:
    """Make the CPU this process's platform."""
    PlatformRegistry.register(platform=NAME)(CpuPlatform)
    set_platform(CpuPlatform())
    torch.distributed.init_process_group = _once_each(torch.distributed.init_process_group)


def _once_each(init_process_group):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202  # torch's own signature
    """Verl asks for a backend for the CPU and one for the device: here the same, which torch refuses."""

    @functools.wraps(init_process_group)
    def wrapped(backend=None, *arguments, **named):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN002, ANN003, ANN202
        if isinstance(backend, str):
            backend = ",".join(dict.fromkeys(backend.split(",")))
        return init_process_group(backend, *arguments, **named)

    return wrapped
