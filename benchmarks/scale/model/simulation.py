"""The cluster in the model: events in order of time, from a seed; times are whole milliseconds."""

import heapq
import random
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from functools import partial

from benchmarks.scale.model.course import Course, Reached
from benchmarks.scale.model.launcher import Launcher
from benchmarks.scale.model.nodes import Nodes, Use
from benchmarks.scale.model.outcome import Outcome, Stay
from benchmarks.scale.model.queue import Queue
from benchmarks.scale.model.run import Run, Spent, Why
from benchmarks.scale.model.urgent import Urgents
from benchmarks.scale.settings import DAY, HOUR, Scenario
from qae.run_directory import RunState, RunStatus
from slurm import attempts
from slurm.time_limit import Pace, warning_seconds
from sweeps.run_store.locking import LEASE_SECONDS
from sweeps.worker.reasons import ExitReason
from sweeps.worker.state import begun, ended, stopped_as

Event = Callable[[int], None]
_MOST_DAYS = 36_500


class EndlessError(RuntimeError):
    """The sweep does not end in a hundred years."""


class Simulation:
    """A sweep on a cluster.

    Args:
        scenario: what is swept where.
        seed: of all that is drawn.
        stays: filled with who held which node when, for tests; None to keep none.
    """

    def __init__(self, scenario: Scenario, seed: int, stays: list[Stay] | None = None) -> None:
        work, site, choices = scenario.work, scenario.site, scenario.choices
        self._scenario = scenario
        self._random = random.Random(seed)
        self._events: list[tuple[int, int, Event]] = []
        self._drawn = 0
        self._now = 0
        self._runs = [Run(number) for number in range(scenario.runs)]
        self._done = 0
        self._nodes = Nodes(site.nodes)
        self._queue = Queue()
        self._launcher = Launcher(scenario, self._runs, self._queue, self._at, self._fill)
        self._urgents = Urgents(self._nodes, self._at, self._preempt, self._free)
        self._spent = Spent()
        self._attempts = 0
        self._reasons: Counter[str] = Counter()
        self._started: list[tuple[Run, int]] = []
        self._draining: set[int] = set()
        self._stays = stays
        self._goes_on = partial(attempts.goes_on, allowed=attempts.limits(None))
        pace = Pace(work.step_seconds, work.nodes * site.gpus_per_node, choices.save_freq)
        limit = work.walltime_seconds
        self._limit = None if limit is None else 1000 * limit
        self._warned = 0 if limit is None else 1000 * (limit - warning_seconds(pace, limit))
        self._times = [
            round(1000 * seconds) for seconds in (work.start_seconds, work.step_seconds, work.checkpoint_seconds)
        ]

    def outcome(self) -> Outcome:
        """Simulate until every run is done.

        Raises:
            EndlessError: that does not come.
        """
        site, hazards = self._scenario.site, self._scenario.hazards
        self._stream(site.nodes * hazards.node_failures, self._fail_a_node)
        self._stream(site.nodes * hazards.drains, self._drain_a_node)
        self._stream(hazards.urgent_jobs, self._urgent_arrives)
        self._launcher.launch(0)
        while self._done < len(self._runs):
            self._now, _, event = heapq.heappop(self._events)
            if self._now > _MOST_DAYS * DAY * 1000:
                raise EndlessError(f"{len(self._runs) - self._done} runs are not done after a hundred years")
            event(self._now)
        self._nodes.pass_to(self._now)
        return Outcome(
            hours=self._now / 1000 / HOUR,
            gpus_per_node=site.gpus_per_node,
            spent=self._spent,
            uses=tuple(self._nodes.spent),
            attempts=self._attempts,
            reasons=self._reasons,
            calls=self._launcher.calls,
            file_reads=self._launcher.file_reads,
            launches=self._launcher.launches,
            arrays=self._launcher.arrays,
            states=tuple(run.state for run in self._runs),
        )

    def _at(self, time: int, event: Event) -> None:
        self._drawn += 1
        heapq.heappush(self._events, (time, self._drawn, event))

    def _draw(self, per_day: float) -> int:
        return round(1000 * DAY * self._random.expovariate(per_day))

    def _stream(self, per_day: float, event: Callable[[], None]) -> None:
        """Have an event come at exponential intervals."""
        if per_day <= 0:
            return

        def happen(now: int) -> None:
            event()
            self._at(now + self._draw(per_day), happen)

        self._at(self._now + self._draw(per_day), happen)

    def _fill(self) -> None:
        while self._nodes.idle >= self._scenario.work.nodes and (number := self._queue.next()) is not None:
            self._queue.started(number)
            self._start(self._runs[number])

    def _start(self, run: Run) -> None:
        start, step, dump = self._times
        now, work = self._now, self._scenario.work
        self._attempts += 1
        run.nodes = self._nodes.take(now, work.nodes, Use.OURS, run.number)
        lost = ExitReason.NODE_FAILURE if run.restarts else ExitReason.KILLED
        run.state = begun(run.state, lost, work.steps, now / 1000)
        start += max(0, run.leased_until - now)
        course = run.course = Course(run.saved, work.steps, self._scenario.choices.save_freq, start, step, dump)
        run.began, run.is_computing, run.goal = now, True, None
        end, why = course.end, Why.COMPLETE
        if self._limit is not None and end > self._warned:
            end, run.goal = course.stop(self._warned)
            why = Why.WARNED
            if end > self._limit:
                end, why, run.goal = self._limit, Why.AT_LIMIT, None
        crashes = work.nodes * self._scenario.hazards.crashes
        if crashes > 0 and (crash := self._draw(crashes)) < end:
            end, why, run.goal = crash, Why.CRASHED, None
        self._plan_end(run, now + end, why)
        self._started.append((run, run.state.attempt))
        self._launcher.changed(now)

    def _plan_end(self, run: Run, time: int, why: Why) -> None:
        run.token += 1
        run.ends = time
        token = run.token

        def end(_: int) -> None:
            if run.token == token:
                self._end(run, why)

        self._at(time, end)

    def _end(self, run: Run, why: Why) -> None:
        elapsed = self._now - run.began
        assert run.course is not None
        reached = run.goal or run.course.at(elapsed)
        if reached.saved == run.course.last:
            why = Why.COMPLETE  # it was asked to stop after its last step
        self._settle(run, elapsed, reached)
        nodes, run.nodes = run.nodes, []
        again = self._judged(run, why, reached)
        if again:
            run.restarts += 1
            self._queue.requeued(run.number)
        else:
            self._queue.ended(run.number)
        self._vacated(run)
        self._free(nodes)
        if run.state.status.is_final and not again:
            self._done += run.state.status is RunStatus.DONE
            self._launcher.is_over(self._now)
        else:
            self._launcher.changed(self._now)

    def _settle(self, run: Run, elapsed: int, reached: Reached) -> None:
        """Count what an attempt did, and keep what it saved."""
        assert run.course is not None
        self._spent.add(run.course, elapsed, reached, len(run.nodes))
        self._note_stays(run.number, run.nodes, run.began, self._now)
        if reached.step > run.course.first:
            run.state = replace(run.state, step=reached.step)
        run.saved = reached.saved
        run.is_computing = False

    def _judged(self, run: Run, why: Why, reached: Reached) -> bool:
        """Write how an attempt ended; whether its job is queued again."""
        assert run.course is not None
        calls = self._launcher.calls
        reason = {Why.WARNED: ExitReason.TIME_LIMIT, Why.CRASHED: ExitReason.CRASH}.get(why, ExitReason.PREEMPTION)
        self._reasons[why.name.lower()] += 1
        match why:
            case Why.COMPLETE:
                run.state = ended(run.state, RunStatus.DONE, None, None, self._goes_on)
                return False
            case Why.AT_LIMIT:
                self._launcher.has_lost(run)
                run.leased_until = self._now + round(1000 * LEASE_SECONDS)
                return False
            case Why.AT_GRACE:
                run.leased_until = self._now + round(1000 * LEASE_SECONDS)
                return True
            case Why.CRASHED:
                status = RunStatus.FAILED
            case _:
                status = stopped_as(reason, made_a_step=reached.step > run.course.first)
                calls["scontrol"] += 1  # who asks for the end
        run.state = ended(run.state, status, reason, None, self._goes_on)
        if why is Why.PREEMPTED:
            calls["scontrol"] += 1  # that Slurm queues it already
            return True
        if run.state.status is not RunStatus.PREEMPTED or not self._may_help(run.state):
            return False
        calls["scontrol"] += 2  # whether it runs still, and to be queued again
        return True

    def _may_help(self, state: RunState) -> bool:
        return attempts.may_help(state, self._goes_on.keywords["allowed"])

    def _free(self, nodes: list[int]) -> None:
        """Nodes come back from a job; those to be drained go."""
        leaving = [node for node in nodes if node in self._draining]
        self._nodes.put(self._now, [node for node in nodes if node not in self._draining], Use.IDLE)
        for node in leaving:
            self._draining.discard(node)
            self._lose(node, self._scenario.hazards.drain_hours)
        self._urgents.serve(self._now)
        self._fill()

    def _lose(self, node: int, hours: float) -> None:
        """A node is away for so long on average."""
        self._nodes.put(self._now, [node], Use.DOWN)
        self._draining.discard(node)
        self._at(self._now + self._draw(24 / hours), lambda _: self._free([node]))

    def _fail_a_node(self) -> None:
        node = self._random.randrange(self._scenario.site.nodes)
        match self._nodes.use(node):
            case Use.DOWN:
                return
            case Use.OURS:
                self._fail_run(self._runs[self._nodes.holder(node)], node)
            case Use.URGENT:
                self._free(self._urgents.fail(self._now, node))
        self._lose(node, self._scenario.hazards.repair_hours)

    def _fail_run(self, run: Run, node: int) -> None:
        """A run loses a node; Slurm notices later."""
        now = self._now
        if not run.is_computing:  # it hangs already
            run.nodes.remove(node)
            self._hung(run, [node])
            return
        assert run.course is not None
        elapsed = now - run.began
        self._settle(run, elapsed, run.course.at(elapsed))
        self._reasons["node failure"] += 1
        run.token += 1
        run.nodes.remove(node)
        run.ends = now
        run.leased_until = now + round(1000 * LEASE_SECONDS)
        self._at(now + round(1000 * self._scenario.site.notice_seconds), partial(self._notice, run))
        self._launcher.changed(now)

    def _notice(self, run: Run, _: int) -> None:
        nodes, run.nodes = run.nodes, []
        self._hung(run, nodes)
        run.restarts += 1
        self._queue.requeued(run.number)
        self._vacated(run)
        self._free(nodes)

    def _hung(self, run: Run, nodes: list[int]) -> None:
        self._spent.hanging += len(nodes) * (self._now - run.ends)
        self._note_stays(run.number, nodes, run.ends, self._now)

    def _drain_a_node(self) -> None:
        node = self._random.randrange(self._scenario.site.nodes)
        if self._nodes.use(node) is Use.IDLE:
            self._lose(node, self._scenario.hazards.drain_hours)
        elif self._nodes.use(node) is not Use.DOWN:
            self._draining.add(node)

    def _urgent_arrives(self) -> None:
        hazards = self._scenario.hazards
        self._urgents.arrive(self._now, hazards.urgent_nodes, self._draw(24 / hazards.urgent_hours))

    def _preempt(self) -> int:
        """Have some run end; how many nodes come, 0 where no run is left."""
        while self._started:
            chosen = self._random.randrange(len(self._started))
            run, attempt = self._started[chosen]
            self._started[chosen] = self._started[-1]
            self._started.pop()
            if not run.is_computing or run.state.attempt != attempt or run.vacates:
                continue
            assert run.course is not None
            elapsed = self._now - run.began
            end, goal = run.course.stop(elapsed)
            grace = elapsed + round(1000 * self._scenario.site.grace_seconds)
            is_soon = end <= grace
            time = run.began + min(end, grace)
            if time < run.ends:
                run.goal = goal if is_soon else None
                self._plan_end(run, time, Why.PREEMPTED if is_soon else Why.AT_GRACE)
            run.vacates = len(run.nodes)
            return run.vacates
        return 0

    def _vacated(self, run: Run) -> None:
        self._urgents.coming -= run.vacates
        run.vacates = 0

    def _note_stays(self, run: int, nodes: list[int], begin: int, end: int) -> None:
        if self._stays is not None:
            self._stays += [Stay(node, run, begin, end) for node in nodes]
