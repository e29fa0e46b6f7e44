"""Ray over the nodes of a job: a head beside the job body, a Slurm step that runs ``ray start --block`` on the others.

Not ``ray symmetric-run``: it refuses to start where any other Ray runs on the node, hands flags of the head to the
workers, and its ``ray stop`` ends the Ray of every job on the node.
"""

import os
import queue
import secrets
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from types import TracebackType
from typing import IO

from qae.errors import ConfigError
from qae.run_directory import RunDirectory
from slurm.node import ray_node
from sweeps import trainers
from sweeps.trainers import Lost
from sweeps.verl import machine as verl_machine

_FLAGS = {"num_cpus": "--num-cpus", "num_gpus": "--num-gpus", "object_store_memory": "--object-store-memory"}
_START_SECONDS = 240.0  # a cold file system reads Ray's packages for a minute or two
_STOP_SECONDS = 30.0
_POLL_SECONDS = 0.2
_ANSWER_SECONDS = 30.0


class RayStartError(RuntimeError):
    """Ray did not start over the allocation; its text is one sentence."""


@dataclass(frozen=True)
class Node:
    """A node of the job: Slurm's name, and the IP address under which Slurm reaches it."""

    name: str
    address: str


class RayCluster:
    """A Ray that runs.

    Attributes:
        address: of the head, for RAY_ADDRESS.
        nodes: Slurm's names of the nodes that Ray knows, the head first.
    """

    def __init__(self, address: str, nodes: Sequence[str], parts: Sequence["_Part"]) -> None:
        self.address = address
        self.nodes = tuple(nodes)
        self._parts = parts

    def lost(self, wait: float = 0.0) -> str | None:
        """A sentence once a part of the cluster has ended; None while all run.

        Args:
            wait: seconds to wait for it, where the trainer failed already and this may be why.
        """
        deadline = time.monotonic() + wait
        while True:
            ended = [part for part in self._parts if part.code is not None]
            if ended:
                return f"Ray ended on {ended[0].where}"
            if time.monotonic() >= deadline:
                return None
            time.sleep(_POLL_SECONDS)


@contextmanager
def machines(
    config: Mapping[str, object], directory: RunDirectory, should_stop: Callable[[], bool]
) -> Iterator[Lost | None]:
    """Ray for a run whose trainer wants it, over the nodes of this job or on one node (`sweeps.worker.place.Place`).

    While it lasts, RAY_ADDRESS and the cluster's token are in this process's environment.

    Args:
        config: of the run, resolved.
        directory: the run.
        should_stop: asked while Ray starts.

    Yields:
        what tells that a node's Ray is gone; None where it was asked to stop before there was one.

    Raises:
        RayStartError: see `over`.
        ConfigError: the job has another number of nodes than the run.
    """
    wanted = trainers.of(config).ray(config, directory)
    if wanted is None:
        yield trainers.nothing_is_lost
        return
    if wanted.nodes == 1:
        with _set({"RAY_ADDRESS": verl_machine.LOCAL_RAY}):  # not that of another job on this node
            yield trainers.nothing_is_lost
        return
    nodes = allocation()
    if len(nodes) != wanted.nodes:
        fix = f"the job has {len(nodes)}: give that number, or submit it anew"
        raise ConfigError("resources.nodes", wanted.nodes, fix)
    options = [f"{_FLAGS[key]}={value}" for key, value in wanted.options.items()]
    secured = _secured()
    with _set(secured), over(nodes, options, {**wanted.environment, **secured}, should_stop) as ray:
        if ray is None:
            yield None
            return
        with _set({"RAY_ADDRESS": ray.address}):
            yield ray.lost


def allocation(environment: Mapping[str, str] = os.environ) -> tuple[Node, ...]:
    """The nodes of this job, the one that runs the batch script first; empty outside a job.

    Raises:
        RayStartError: Slurm does not say them.
    """
    listed = environment.get("SLURM_JOB_NODELIST")
    if not listed:
        return ()
    names = _scontrol("show", "hostnames", listed).split()
    here = environment.get("SLURMD_NODENAME", names[0])
    names.sort(key=lambda name: name != here)
    return tuple(Node(name, _address(name)) for name in names)


@contextmanager
def over(
    nodes: Sequence[Node], options: Sequence[str], environment: Mapping[str, str], should_stop: Callable[[], bool]
) -> Iterator[RayCluster | None]:
    """Start Ray over nodes, and end it.

    Args:
        nodes: at least two, this one first.
        options: of ``ray start`` on each node, such as ``--num-gpus=4``.
        environment: of Ray's processes on every node, which its workers inherit.
        should_stop: asked while it starts.

    Yields:
        the cluster, once it has all nodes; None where it was asked to stop before.

    Raises:
        RayStartError: it does not get there; Ray's own words are in this process's output.
    """
    direct = _no_proxy(nodes, environment)
    variables = {**environment, "no_proxy": direct, "NO_PROXY": direct}
    head, *others = nodes
    with ExitStack() as parts:
        waits = _Waits(should_stop)
        command = [sys.executable, "-m", "slurm.node.ray_node", ray_node.HEAD, others[0].address, *options]
        first = parts.enter_context(_Part(command, variables, head.name))
        said = waits.until_all(first, [head.name])
        if said is None:
            yield None
            return
        address = said[head.name]
        names = [node.name for node in others]
        command = [sys.executable, "-m", "slurm.node.ray_node", address, head.address, *options]
        second = parts.enter_context(_Part([*_step(names), *command], variables, ", ".join(names)))
        if waits.until_all(second, names) is None:
            yield None
            return
        yield RayCluster(address, [head.name, *names], (first, second))


def _secured() -> dict[str, str]:
    """A token for this cluster alone: without it Ray runs the code of anyone who reaches its ports."""
    return {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": secrets.token_hex(32)}


@contextmanager
def _set(variables: Mapping[str, str]) -> Iterator[None]:
    before = {name: os.environ.get(name) for name in variables}
    os.environ.update(variables)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


def _step(names: Sequence[str]) -> list[str]:
    """A Slurm step with one task on each given node, beside what runs there; it ends when any task ends."""
    count = len(names)
    return [
        "srun",
        f"--nodes={count}",
        f"--ntasks={count}",
        "--ntasks-per-node=1",
        f"--nodelist={','.join(names)}",
        "--overlap",
        "--kill-on-bad-exit=1",
        "--cpu-bind=none",
        "--mpi=none",
        "--export=ALL",
        "--job-name=ray",
        "--unbuffered",
    ]


class _Part:
    """A process that holds a part of the cluster; it ends when its standard input does."""

    def __init__(self, command: Sequence[str], environment: Mapping[str, str], where: str) -> None:
        self.where = where
        self.said: queue.SimpleQueue[tuple[str, str]] = queue.SimpleQueue()
        self._process = subprocess.Popen(  # noqa: S603  # our own command and Slurm's names
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=dict(environment),
            start_new_session=True,
            text=True,
        )
        threading.Thread(target=self._listen, args=(self._process.stdout,), daemon=True).start()

    def __enter__(self) -> "_Part":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._process.stdin is not None:
            self._process.stdin.close()
        try:
            self._process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    @property
    def code(self) -> int | None:
        return self._process.poll()

    def _listen(self, output: IO[str] | None) -> None:
        for line in output or ():
            if (said := ray_node.parse(line)) is not None:
                self.said.put(said)
            else:
                sys.stderr.write(line)


class _Waits:
    """Waiting for nodes, all of them within the same time."""

    def __init__(self, should_stop: Callable[[], bool]) -> None:
        self._should_stop = should_stop
        self._deadline = time.monotonic() + _START_SECONDS

    def until_all(self, part: _Part, names: Sequence[str]) -> dict[str, str] | None:
        """The address that each node reports; None if a stop was requested first."""
        said: dict[str, str] = {}
        while len(said) < len(names):
            if self._should_stop():
                return None
            try:
                said.update([part.said.get(timeout=_POLL_SECONDS)])
            except queue.Empty:
                missing = ", ".join(name for name in names if name not in said)
                if part.code is not None:
                    raise RayStartError(f"Ray did not start on {missing}; the log has its words") from None
                if time.monotonic() >= self._deadline:
                    raise RayStartError(f"Ray did not start on {missing} in {_START_SECONDS:.0f} s") from None
        return said


def _no_proxy(nodes: Sequence[Node], environment: Mapping[str, str]) -> str:
    """The value of `no_proxy` with the nodes added, as an internet proxy does not reach them."""
    own = [text for node in nodes for text in (node.name, node.address)]
    before = environment.get("no_proxy") or environment.get("NO_PROXY")
    return ",".join([*([before] if before else []), *own])


def _address(name: str) -> str:
    for field in _scontrol("show", "node", "--oneliner", name).split():
        key, _, value = field.partition("=")
        if key == "NodeAddr":
            try:
                return socket.gethostbyname(value)
            except OSError as error:
                raise RayStartError(f"{value}, Slurm's address of {name}, has no IP address here: {error}") from error
    raise RayStartError(f"Slurm does not say the address of {name}")


def _scontrol(*arguments: str) -> str:
    try:
        ended = subprocess.run(  # noqa: S603  # Slurm's own names
            ["scontrol", *arguments],  # noqa: S607
            capture_output=True,
            text=True,
            check=True,
            timeout=_ANSWER_SECONDS,
        )
    except (OSError, subprocess.SubprocessError) as error:
        raise RayStartError(f"scontrol does not say the nodes of this job: {error}") from error
    return ended.stdout
