"""Facts about this machine; each probe answers within seconds, whatever is broken."""

import fcntl
import json
import os
import resource
import shutil
import socket
import subprocess
import sys
import tempfile
import urllib.request
from collections.abc import Iterable, Sequence
from contextlib import suppress
from importlib import metadata
from pathlib import Path
from urllib.parse import urlsplit

from qae.tracking import wandb_environment
from sweeps.data.sets import COLUMNS, HUB_SETS
from sweeps.doctor import files, hardware, network, software
from sweeps.doctor.files import DataFile, FileSystem, Model
from sweeps.doctor.findings import Finding
from sweeps.doctor.hardware import Gpu, Torch
from sweeps.doctor.network import RAY_PORTS, Network
from sweeps.launching.needs import Needs

_NETWORK_SECONDS = 3.0
_SMI_SECONDS = 30.0
_TORCH_SECONDS = 120.0
_CGROUPS, _NETWORK, _FABRICS = Path("/sys/fs/cgroup"), Path("/sys/class/net"), Path("/sys/class/infiniband")
_OF_CONTAINERS = ("lo", "docker", "veth", "virbr", "br-", "cni", "flannel", "cali")
_ASK_TORCH = "import json, torch; print(json.dumps([torch.__version__, torch.version.cuda, torch.cuda.is_available()]))"
# A lock is tested from another process, because on some file systems a process does not conflict with itself.
_TRY_LOCK = (
    "import fcntl, sys\n"
    "try: fcntl.flock(open(sys.argv[1], 'ab'), fcntl.LOCK_EX | fcntl.LOCK_NB)\n"
    "except BlockingIOError: sys.exit(0)\n"
    "sys.exit(1)"
)


def examine(needs: Needs) -> list[Finding]:
    """All findings that concern the run, in the order of the report."""
    asked = software.pins(metadata.requires("verl") or []) if needs.ray and versions(["verl"]) else {}
    return [
        software.judge_python(sys.version_info[:3]),
        *software.judge_packages(needs, versions(needs.packages), asked),
        *(software.judge_trl(versions(["trl"]).get("trl"), asked) if needs.ray else []),
        *_examine_hardware(needs),
        *(_examine_ray(needs) if needs.ray else []),
        *files.judge_store(needs, look_at_store(needs.root)),
        *_examine_limits(needs),
        *_examine_network(needs),
        *_examine_files(needs),
    ]


def _examine_hardware(needs: Needs) -> list[Finding]:
    if not needs.gpus:
        return []
    gpus = list_gpus()
    return [
        *hardware.judge_gpus(needs, gpus, ask_torch() if len(gpus) >= needs.gpus else None),
        *hardware.judge_cpus(needs, len(os.sched_getaffinity(0))),
        *hardware.judge_memory(needs, memory()),
    ]


def _examine_ray(needs: Needs) -> list[Finding]:
    return [network.judge_ports(needs, taken_ports()), hardware.judge_shared_memory(needs, free_shared_memory())]


def _examine_limits(needs: Needs) -> list[Finding]:
    return [
        hardware.judge_open_files(needs, *resource.getrlimit(resource.RLIMIT_NOFILE)),
        *hardware.judge_processes(needs, _limit(resource.RLIMIT_NPROC)),
        *hardware.judge_locked_memory(needs, _limit(resource.RLIMIT_MEMLOCK)),
    ]


def _examine_network(needs: Needs) -> list[Finding]:
    host = wandb_host()
    reached = needs.wandb == "online" and answers(f"https://{host}")
    return [*network.judge_network(needs, look_at_network()), network.judge_wandb(needs, host, reached=reached)]


def _examine_files(needs: Needs) -> list[Finding]:
    found = [look_at_file(path) for paths in needs.data_files.values() for path in paths]
    judged = files.judge_data(needs, found, {one.file_name: one.problems for one in HUB_SETS})
    return judged + ([files.judge_model(needs, find_model(needs.model_path))] if needs.model_path else [])


def versions(packages: Iterable[str]) -> dict[str, str]:
    """Versions of packages, as far as they are installed; imports none of them."""
    found = {}
    for name in packages:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found


def list_gpus() -> list[Gpu]:
    """What nvidia-smi lists; empty without it or without a driver."""
    query = "--query-gpu=name,memory.total,memory.used,driver_version"
    listed = _output(["nvidia-smi", query, "--format=csv,noheader,nounits"], _SMI_SECONDS)
    gpus = []
    for line in (listed or "").splitlines():
        fields = [field.strip() for field in line.split(",")]
        if len(fields) == 4 and fields[1].isdigit() and fields[2].isdigit():
            gpus.append(Gpu(fields[0], int(fields[1]), int(fields[2]), fields[3]))
    return gpus


def ask_torch() -> Torch | None:
    """What torch says, asked in a process of its own; None where it cannot be imported."""
    said = _output([sys.executable, "-c", _ASK_TORCH], _TORCH_SECONDS)
    return Torch(*json.loads(said.splitlines()[-1])) if said else None


def taken_ports() -> list[int]:
    """Those of Ray's ports that something listens on."""
    taken = []
    for port in RAY_PORTS:
        with socket.socket() as trial:
            trial.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # a connection that is closing is no listener
            try:
                trial.bind(("", port))
            except OSError:
                taken.append(port)
    return taken


def free_shared_memory() -> int | None:
    """Free bytes of /dev/shm."""
    try:
        return shutil.disk_usage("/dev/shm").free  # noqa: S108  # looked at, not written
    except OSError:
        return None


def memory() -> int | None:
    """Bytes of main memory that this process may use: the machine's, or the least of its control groups' limits."""
    try:
        machine = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
        groups = Path("/proc/self/cgroup").read_text().splitlines()
    except (OSError, ValueError):
        return None
    limits = [machine]
    for line in groups:
        _, controllers, path = line.split(":", 2)
        root = _CGROUPS / "memory" if "memory" in controllers.split(",") else _CGROUPS
        name = "memory.limit_in_bytes" if "memory" in controllers.split(",") else "memory.max"
        folder = root / path.lstrip("/")
        for place in (folder, *folder.parents):
            with suppress(OSError, ValueError):
                limits.append(int((place / name).read_text()))
    return min(limits)


def look_at_network() -> Network:
    """The interfaces and fabrics that the kernel lists."""
    names = [path.name for path in sorted(_NETWORK.glob("*")) if not path.name.startswith(_OF_CONTAINERS)]
    up = [name for name in names if _is_up(_NETWORK / name)]
    fabrics = sorted(path.name for path in _FABRICS.glob("*"))
    return Network(tuple(up), tuple(fabrics), os.environ.get("NCCL_SOCKET_IFNAME"))


def _is_up(folder: Path) -> bool:
    try:
        return (folder / "operstate").read_text().strip() in ("up", "unknown")
    except OSError:
        return False


def _limit(which: int) -> float:
    soft, _ = resource.getrlimit(which)
    return float("inf") if soft == resource.RLIM_INFINITY else soft


def look_at_store(root: Path) -> FileSystem:
    """The file system of the run store, tried in a temporary folder in it or in its nearest existing parent."""
    folder = existing(root)
    kind, options = _mount(folder)
    try:
        with tempfile.TemporaryDirectory(prefix=".qae-doctor-", dir=folder) as place:
            failure = _try_files(Path(place))
    except OSError as error:
        failure = f"cannot be written ({error.strerror})"
    return FileSystem(kind, options, shutil.disk_usage(folder).free, failure)


def existing(path: Path) -> Path:
    """The path, or its nearest parent that exists."""
    path = path.absolute()
    return next(folder for folder in (path, *path.parents) if folder.is_dir())


def _try_files(folder: Path) -> str | None:
    lock, target, new = folder / "lock", folder / "target", folder / "new"
    with lock.open("ab") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            return f"flock does not work ({error.strerror})"
        if _output([sys.executable, "-c", _TRY_LOCK, str(lock)], _SMI_SECONDS) is None:
            return "flock does not keep a second process out"
    target.write_bytes(b"old")
    try:
        os.close(os.open(target, os.O_CREAT | os.O_EXCL | os.O_WRONLY))
    except FileExistsError:
        pass
    else:
        return "exclusive creation succeeds on a file that exists"
    new.write_bytes(b"new")
    new.replace(target)
    return None if target.read_bytes() == b"new" else "renaming over a file leaves the old content"


def _mount(folder: Path) -> tuple[str, tuple[str, ...]]:
    try:
        lines = Path("/proc/mounts").read_text().splitlines()
    except OSError:
        return "an unknown file system", ()
    best = ("", "an unknown file system", "")
    for line in lines:
        _, point, kind, options, *_ = line.split()
        point = point.replace("\\040", " ")
        if folder.resolve().is_relative_to(point) and len(point) >= len(best[0]):
            best = (point, kind, options)
    return best[1], tuple(best[2].split(","))


def wandb_host() -> str:
    """The host that W&B's client talks to."""
    return urlsplit(wandb_environment.server()).netloc


def answers(address: str) -> bool:
    """Whether a server, or the proxy on the way to it, takes a connection."""
    parts = urlsplit(address)
    proxy = urllib.request.getproxies().get(parts.scheme)
    if proxy and not urllib.request.proxy_bypass(parts.hostname or ""):
        parts = urlsplit(proxy if "//" in proxy else f"http://{proxy}")
    port = parts.port or (443 if parts.scheme == "https" else 80)
    try:
        socket.create_connection((parts.hostname or "", port), timeout=_NETWORK_SECONDS).close()
    except OSError:
        return False
    return True


def look_at_file(path: str) -> DataFile:
    """A parquet file's rows and columns, from its footer."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    local = Path(path).expanduser()
    if not local.exists():
        return DataFile(path, failure="not there")
    try:
        footer = pq.read_metadata(local)
        names = pq.read_schema(local).names
    except (pa.ArrowException, OSError) as error:
        return DataFile(path, failure=f"no parquet file ({str(error).splitlines()[0]})")
    return DataFile(path, footer.num_rows, tuple(name for name in COLUMNS if name not in names))


def find_model(path: str) -> Model:
    """Whether a model's folder or its weights in the hub's cache are here, or the hub can be reached."""
    folder = Path(path).expanduser()
    if folder.is_dir():
        return Model.HERE if (folder / "config.json").exists() else Model.NOWHERE
    if path.startswith(("/", "~", ".")) or path.count("/") > 1:
        return Model.NOWHERE
    from huggingface_hub import constants, try_to_load_from_cache

    cached = try_to_load_from_cache(path, "config.json")
    if isinstance(cached, str) and any(Path(cached).parent.glob("*.safetensors")):
        return Model.HERE
    return Model.ON_HUB if not constants.HF_HUB_OFFLINE and answers(constants.ENDPOINT) else Model.NOWHERE


def _output(command: Sequence[str], seconds: float) -> str | None:
    """What a command prints; None where it does not exist, fails or takes too long."""
    try:
        done = subprocess.run(  # noqa: S603  # commands are ours
            command, capture_output=True, text=True, timeout=seconds, check=True
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout
