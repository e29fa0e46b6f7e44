"""The course of an attempt that nothing interrupts, in closed form; times are whole milliseconds since its start."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Reached:
    """Where an attempt stands.

    Attributes:
        step: last finished step.
        saved: step of the newest complete checkpoint.
        dumping: milliseconds that went into checkpoints so far.
        is_dumping: whether a checkpoint is being written.
    """

    step: int
    saved: int
    dumping: int
    is_dumping: bool = False


@dataclass(frozen=True, slots=True)
class Course:
    """An attempt: it starts, computes steps, and waits for a checkpoint after each `save_freq`-th and the last.

    Attributes:
        first: step of the checkpoint that it continues from.
        last: step that completes the run.
        save_freq: steps between checkpoints.
        start: milliseconds before the first step.
        step: milliseconds of a step.
        dump: milliseconds of a checkpoint.
    """

    first: int
    last: int
    save_freq: int
    start: int
    step: int
    dump: int

    @property
    def end(self) -> int:
        """When the run is complete."""
        return self.finish(self.last) + self.dump

    def finish(self, step: int) -> int:
        """When a step after `first` is finished, the checkpoint after it not included."""
        dumps = (step - 1) // self.save_freq - self.first // self.save_freq
        return self.start + (step - self.first) * self.step + dumps * self.dump

    def at(self, elapsed: int) -> Reached:
        """Where the attempt stands after so long."""
        if elapsed >= self.end:
            return self._complete()
        offset = self.first % self.save_freq
        counted = max(0, elapsed - self.start) + offset * self.step  # as if it had begun after a regular checkpoint
        cycles, within = divmod(counted, self.save_freq * self.step + self.dump)
        before = self.first - offset + cycles * self.save_freq
        to_come = min(self.save_freq, self.last - before)
        dumping = within - to_come * self.step
        return Reached(
            step=before + min(to_come, within // self.step),
            saved=max(before, self.first),
            dumping=cycles * self.dump + max(0, dumping),
            is_dumping=dumping >= 0,
        )

    def stop(self, elapsed: int) -> tuple[int, Reached]:
        """When an attempt ends that is asked to stop after so long, and where: after its step, with a checkpoint."""
        here = self.at(elapsed)
        step = here.step if here.is_dumping else min(here.step + 1, self.last)
        end = self.finish(step) + self.dump
        return end, Reached(step, step, end - self.start - (step - self.first) * self.step)

    def _complete(self) -> Reached:
        return Reached(self.last, self.last, self.end - self.start - (self.last - self.first) * self.step)
