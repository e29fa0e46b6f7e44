"""Tells on its output, a JSON line a change, which nodes Ray holds for alive: ``{"n1": 8, "n2": 8}``, name to GPUs.

A process of its own, because Ray's client ends the process that it lives in when it loses the head.
"""

import json
import sys
import time

_POLL_SECONDS = 1.0
_START_SECONDS = 60.0


def main() -> None:
    """Watch the cluster at the address given as the argument until it is gone or nobody listens."""
    import ray

    _connect(sys.argv[1])
    last: dict[str, float] | None = None
    while True:
        alive = {node["NodeName"]: node["Resources"].get("GPU", 0.0) for node in ray.nodes() if node["Alive"]}
        if alive != last:
            sys.stdout.write(json.dumps(alive) + "\n")
            sys.stdout.flush()
            last = alive
        time.sleep(_POLL_SECONDS)


def _connect(address: str) -> None:
    import ray

    deadline = time.monotonic() + _START_SECONDS
    while True:
        try:
            ray.init(address=address, log_to_driver=False, logging_level="ERROR")
        except ConnectionError:
            if time.monotonic() > deadline:
                raise
            time.sleep(_POLL_SECONDS)
        else:
            return


if __name__ == "__main__":
    main()
