"""Searches inside test processes: the real search, journal, job body and trainer, with workers forked from here.

The launchers of the command line start a Python that imports the trainer first; tests that kill searches again and
again fork processes that have it. A server forks them: pytest's own process may have threads of torch, which a fork
would wait for in vain.
"""

import io
import multiprocessing
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection
from multiprocessing.context import ForkProcess
from pathlib import Path

import optuna
import torch
from hydra.core.override_parser.overrides_parser import OverridesParser
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
from rich.console import Console

from qae.files import search_record
from sweeps import trainers
from sweeps.launching.executor import Execution, Feed, no_more
from sweeps.launching.launch import Outcome
from sweeps.launching.plan import Plan, PlannedRun
from sweeps.search.command import search
from sweeps.worker.job import Exit, run_in_worker
from tests.support.configs import QUICK, embedded_mapping

SERVER = multiprocessing.get_context("forkserver")
SERVER.set_forkserver_preload(
    ["sweeps.worker.warm", *trainers.of(embedded_mapping()).preload(embedded_mapping()), __name__]
)
_FORK = multiprocessing.get_context("fork")
SHORT = (*QUICK, "trainer.total_training_steps=2", "trainer.test_freq=1", "tracking=none")


@dataclass(frozen=True)
class ForkExecutor:
    """A place to run: a forked process a run; see `sweeps.launching.executor.Executor`."""

    parallel: int = 2

    def in_flight(self, root: Path) -> frozenset[str]:  # noqa: ARG002
        return frozenset()

    def check(self, runs: Sequence[PlannedRun]) -> None:
        pass

    def describe(self, plan: Plan) -> Sequence[str]:  # noqa: ARG002
        return ()

    def launch(self, plan: Plan, console: Console, feed: Feed = no_more) -> Execution:  # noqa: ARG002
        waiting, running = [run for run in plan.runs if run.action.runs], list[tuple[PlannedRun, ForkProcess]]()
        more: Sequence[PlannedRun] | None = ()
        failed: dict[str, str] = {}
        while more is not None or waiting or running:
            more = feed(failed) if more is not None else None
            waiting += more or ()
            while waiting and len(running) < self.parallel:
                run = waiting.pop(0)
                process = _FORK.Process(
                    target=run_in_worker, args=(str(run.directory.path), plan.name, run.state.attempt)
                )
                process.start()
                running.append((run, process))
            for run, process in list(running):
                if process.exitcode is not None:
                    running.remove((run, process))
                    if process.exitcode == Exit.RUNS_ELSEWHERE:
                        waiting.append(run)
                    elif process.exitcode < 0:
                        failed[run.run_id] = "killed"
            time.sleep(0.01)
        return Execution(failed)


def run_search(root: Path, *overrides: str, parallel: int = 2) -> tuple[Outcome, str]:
    """Search in a process of its own, see `search_here`."""
    receiving, sending = SERVER.Pipe(duplex=False)
    process = SERVER.Process(target=_search_there, args=(sending, root, overrides, parallel))
    process.start()
    sending.close()
    result: tuple[Outcome, str] = receiving.recv()
    process.join()
    return result


def _search_there(sending: Connection, root: Path, overrides: Sequence[str], parallel: int) -> None:
    sending.send(search_here(root, *overrides, parallel=parallel))


def search_here(root: Path, *overrides: str, parallel: int = 2) -> tuple[Outcome, str]:
    """Search with the overrides of a command line; gives its outcome and what it printed.

    The runs are forks of this process.
    """
    torch.set_num_threads(1)  # a Gaussian process as sampler would start threads
    typed = OverridesParser.create().parse_overrides([*SHORT, f"sweep.root={root}", *overrides])
    fixed = [str(one.input_line) for one in typed if not one.is_sweep_override()]
    output = io.StringIO()

    def compose(jobs: Sequence[Sequence[str]]) -> list[Mapping[str, object]]:
        return [_mapping(job) for job in jobs]

    console = Console(file=output, width=160)
    outcome = search(typed, _mapping(fixed), compose, lambda _: ForkExecutor(parallel), console)
    return outcome, output.getvalue()


def _mapping(overrides: Sequence[str]) -> Mapping[str, object]:
    groups = [override for override in overrides if override.startswith(("tracking=", "regularizer="))]
    return embedded_mapping(*(override for override in overrides if override not in groups), groups=groups)


def load(root: Path, name: str) -> optuna.Study:
    """The study on disk."""
    path = search_record.journal(root, name)
    return optuna.load_study(study_name=name, storage=JournalStorage(JournalFileBackend(str(path))))
