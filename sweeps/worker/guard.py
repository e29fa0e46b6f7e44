"""The entropy guard beside a run that trains: judges each step, writes down what it decides and does it."""

import logging
import shutil
import time
from collections.abc import Mapping
from dataclasses import replace

from qae.config import AdvantageConfig
from qae.errors import ConfigError
from qae.guard import decisions
from qae.guard.decisions import Decision
from qae.guard.history import read_history, step_record
from qae.guard.judge import Judge, Verdict
from qae.guard.settings import Action, watches
from qae.run_directory import RunDirectory
from sweeps.run_store.identity import RULES_WITH_A_QUANTILE
from sweeps.worker import forks
from sweeps.worker.tracking import Tracker

_log = logging.getLogger(__name__)


class Guard:
    """Watches one attempt of a run. What an earlier attempt decided is read back and not decided again.

    Args:
        config: the run's, resolved.
        directory: the run; `guard.jsonl` is written in it.
        total_steps: global steps that complete it.
        tracker: where tags go.
    """

    def __init__(
        self, config: Mapping[str, object], directory: RunDirectory, total_steps: int, tracker: Tracker
    ) -> None:
        self._config = config
        self._directory = directory
        self._tracker = tracker
        watching = watches(config.get("guard"))
        self._decisions = decisions.read(directory) if watching else {}
        history = read_history(directory, forks.step_of(config)) if watching else []
        self._judge = Judge(watching, total_steps, history, self._decisions) if watching else None
        for decision in self._decisions.values():
            self._tag(decision)

    @property
    def ending(self) -> Decision | None:
        """The decision that ends the run, once there is one."""
        return decisions.ending(self._decisions)

    @property
    def reason(self) -> str | None:
        """What was decided last, in a sentence; None before."""
        standing = [decision for decision in self._decisions.values() if not decision.overruled]
        return str(standing[-1]) if standing else None

    def step(self, step: int, values: Mapping[str, float]) -> None:
        """Judge a finished step; its metrics are on disk."""
        if self._judge is None or self.ending:
            return
        for verdict in self._judge.take(step_record(step, values)):
            if not self.ending:
                self._decide(verdict)

    def come_too_late(self) -> None:
        """Take back the decision to end a run that made its last step meanwhile: verl is a step ahead."""
        forked = forks.last_of(self._directory)
        if forked.run_id != self._directory.run_id and forked.read_state().attempt == 0:
            shutil.rmtree(forked.path, ignore_errors=True)
        overrule(self._directory)
        self._decisions = decisions.read(self._directory)

    def _decide(self, verdict: Verdict) -> None:
        finding = verdict.finding
        decision = Decision(
            finding.step,
            finding.rule,
            verdict.action,
            finding.first_step,
            finding.sentence,
            finding.evidence,
            time.time(),
        )
        if verdict.action is Action.FORK and verdict.fork_k is not None:
            decision = self._fork(decision, verdict.fork_k)
        decisions.append(self._directory, decision)
        self._decisions[decision.rule] = decision
        _log.warning("%s (%s)", decision, decision.action)
        self._tag(decision)

    def _fork(self, decision: Decision, k: float) -> Decision:
        """The decision with its fork, whose directory is made now: the trainer drops old checkpoints."""
        try:
            fork = forks.make(self._config, self._directory, decision.first_step, k)
        except forks.NoForkError as error:
            return replace(decision, action=Action.STOP, sentence=f"{decision.sentence}; not forked, as {error}")
        goes_on = f"run {fork.run_id} goes on from step {fork.step} with K = {fork.k:g}"
        return replace(
            decision,
            sentence=f"{decision.sentence}; {goes_on}",
            fork=fork.run_id,
            fork_step=fork.step,
            fork_k=fork.k,
        )

    def _tag(self, decision: Decision) -> None:
        if decision.action is not Action.WARN:
            self._tracker.tag(f"guard-{decision.rule}")


def overrule(directory: RunDirectory) -> None:
    """Take back the decision that ended a run, as it is started again; the rule that made it does not fire any more."""
    decision = decisions.ending(decisions.read(directory))
    if decision is not None:
        decisions.append(directory, replace(decision, time=time.time(), overruled=True))


def check(config: Mapping[str, object]) -> None:
    """Refuse guard settings that do not exist, or that this run has no use for.

    Raises:
        ConfigError: names the key, the value and the fix.
    """
    forking = [watch for watch in watches(config.get("guard")) if watch.action is Action.FORK]
    if not forking:
        return
    algorithm = config.get("algorithm")
    advantage = AdvantageConfig.from_mapping(algorithm if isinstance(algorithm, Mapping) else {})
    if advantage.rule not in RULES_WITH_A_QUANTILE:
        fix = f"a fork changes K, and advantage={advantage.rule} has none; choose stop"
        raise ConfigError(f"guard.{forking[0].rule.name}.action", "fork", fix)
    if advantage.controller is not None:
        fix = "a fork changes K, and so does the run's controller; choose stop, or controller=none"
        raise ConfigError(f"guard.{forking[0].rule.name}.action", "fork", fix)
