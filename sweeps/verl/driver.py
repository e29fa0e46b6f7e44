"""`python -m verl.trainer.main_ppo` that ends with the process that started it, however that one ends."""

import ctypes
import os
import runpy
import signal
import sys

_PR_SET_PDEATHSIG = 1  # linux/prctl.h


def main() -> None:
    """Run verl with this process's arguments; the first one is the pid of the process to end with."""
    parent = int(sys.argv.pop(1))
    if sys.platform == "linux":
        # Ray's own processes end with this one in the same way.
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:  # it ended before the request above
        sys.exit(1)
    runpy.run_module("verl.trainer.main_ppo", run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
