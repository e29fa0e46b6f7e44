"""`guard.jsonl` of a run directory: what the guard decided, with its evidence; a continued run reads it back."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass

from qae.files.json_lines import read_jsonl
from qae.guard.settings import Action
from qae.run_directory import JsonlWriter, RunDirectory


@dataclass(frozen=True)
class Decision:
    """A line of guard.jsonl.

    Attributes:
        step: after which it was made.
        rule: that fired.
        action: what was done.
        first_step: first step of the evidence.
        sentence: what was seen, for people.
        evidence: the numbers behind it.
        time: seconds since the epoch.
        fork: id of the run that goes on instead; None where none does.
        fork_step: step of the checkpoint that it goes on from.
        fork_k: its K.
        overruled: whether a launch that starts stopped runs again has taken the decision back since.
    """

    step: int
    rule: str
    action: Action
    first_step: int
    sentence: str
    evidence: Mapping[str, float]
    time: float
    fork: str | None = None
    fork_step: int | None = None
    fork_k: float | None = None
    overruled: bool = False

    @property
    def ends(self) -> bool:
        """Whether the run is to end with it."""
        return self.action.ends and not self.overruled

    def __str__(self) -> str:
        return f"guard: {self.rule} at step {self.step}: {self.sentence}"


def append(directory: RunDirectory, decision: Decision) -> None:
    """Write a decision; it is on disk when this returns."""
    with JsonlWriter(directory.guard) as lines:
        lines.append({**asdict(decision), "evidence": dict(decision.evidence)})


def read(directory: RunDirectory) -> dict[str, Decision]:
    """The decisions by rule, in order; of lines for the same rule the last one counts. Lines of another form do not."""
    found: dict[str, Decision] = {}
    for line in read_jsonl(directory.guard).records:
        try:
            decision = Decision(**{**line, "action": Action(str(line["action"]))})  # type: ignore[arg-type]  # checked by reading
            found[decision.rule] = decision
        except (KeyError, TypeError, ValueError):
            continue
    return found


def ending(decisions: Mapping[str, Decision]) -> Decision | None:
    """The decision that ends the run, if one does."""
    return next((decision for decision in decisions.values() if decision.ends), None)
