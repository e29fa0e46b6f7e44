"""What the job of a test does with Ray over its nodes: looks at it, holds it until told to go, says what it saw.

A job runs `python -m tests.slurm.ray.ray_probe GO` with a file to wait for. The file ``looked`` beside it says that the
probe has looked.
"""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

from qae.run_directory import RunDirectory
from slurm.node import ray_cluster
from tests.support.configs import verl_mapping

GPUS = 2
_SECONDS = 300
# A driver of its own, as verl's is; the tasks hold a node's GPUs each, so they run on both.
_DRIVER = f"""
import json, os, ray, time
ray.init(log_to_driver=False)

@ray.remote(num_gpus={GPUS}, num_cpus=1)
def where():
    time.sleep(1)  # both are at work at once
    return os.environ["SLURMD_NODENAME"], os.environ["CUDA_VISIBLE_DEVICES"], "ROCR_VISIBLE_DEVICES" in os.environ

tasks = ray.get([where.remote() for _ in range(2)], timeout=120)
nodes = {{node["NodeName"]: node["Resources"].get("GPU") for node in ray.nodes() if node["Alive"]}}
print(json.dumps({{"nodes": nodes, "tasks": tasks}}))
"""


def main(go: Path) -> None:
    """Start Ray as the job body does, look at it, wait; a JSON line tells."""
    config = verl_mapping(
        "model=qwen3-random-tiny",
        "resources.nodes=2",
        f"resources.gpus_per_node={GPUS}",
        f"ray_kwargs.ray_init.num_gpus={GPUS}",
        "ray_kwargs.ray_init.object_store_memory=80000000",
    )
    with ray_cluster.machines(config, RunDirectory(go.parent), lambda: False) as lost:
        assert lost is not None
        seen = json.loads(_driver(os.environ))
        stranger = {name: value for name, value in os.environ.items() if not name.startswith("RAY_AUTH_")}
        refused = not _driver({**stranger, "HOME": str(go.parent)})
        go.with_name("looked").touch()
        deadline = time.monotonic() + _SECONDS
        while not go.exists() and time.monotonic() < deadline:
            time.sleep(0.1)
        address = os.environ["RAY_ADDRESS"]
        sys.stdout.write(json.dumps({**seen, "address": address, "refused": refused, "lost": lost(0.0)}) + "\n")


def _driver(environment: "dict[str, str] | os._Environ[str]") -> str:
    ended = subprocess.run(
        [sys.executable, "-c", _DRIVER],
        env=dict(environment),
        stdout=subprocess.PIPE,
        text=True,
        check=False,
        timeout=200,
    )
    return ended.stdout.strip().rpartition("\n")[2] if ended.returncode == 0 else ""


if __name__ == "__main__":
    main(Path(sys.argv[1]))
