"""What a table of differences does not hold, in sentences: a row that is absent must not pass for one not asked for."""

from collections.abc import Collection, Iterator, Sequence

from analysis.comparison.measures import Measure
from analysis.comparison.pairs import Pair
from analysis.runs.frames import ArmName, Runs


def left_out(
    runs: Runs, pairs: Sequence[Pair], measures: Sequence[Measure], found: Collection[tuple[ArmName, ArmName, str]]
) -> list[str]:
    """A sentence for each reason why a pair has no difference in a measure.

    Args:
        runs: the runs of all arms.
        pairs: what was to be compared.
        measures: in what.
        found: the arms and the name of the measure of each difference that there is.
    """
    if not pairs:
        return [f"There is one arm only, {next(iter(runs.arms)).shown}."]
    absent = {pair: lacking for pair in pairs if (lacking := [of for of in measures if (*pair, of.name) not in found])}
    apart = [pair for pair in absent if not _common_seeds(runs, pair)]
    near = {pair: lacking for pair, lacking in absent.items() if pair not in apart}
    return [
        *(f"{_named(pair)}: left out, for the arms have no seed in common ({_seeds(runs, pair)})." for pair in apart),
        *_not_measured(runs, near, measures),
        *_not_in_common(runs, near),
    ]


def _not_measured(runs: Runs, absent: dict[Pair, list[Measure]], measures: Sequence[Measure]) -> Iterator[str]:
    """One sentence per measure that some arms do not have at all."""
    for measure in measures:
        arms = dict.fromkeys(arm for pair, lacking in absent.items() if measure in lacking for arm in pair)
        without = [arm for arm in arms if measure.table(runs, arm).empty]
        reasons = {_why_not(runs, arm, measure) for arm in without}
        if len(without) == len(runs.arms) and len(reasons) == 1:
            yield f"{measure.name}: left out, for {reasons.pop()}."
        elif without:
            named = ", ".join(f"{arm.shown} ({_why_not(runs, arm, measure)})" for arm in without)
            yield f"{measure.name}: left out for {named}."


def _not_in_common(runs: Runs, absent: dict[Pair, list[Measure]]) -> Iterator[str]:
    """One sentence per pair whose arms both have a measure, but not on the same seeds, problems and steps."""
    for pair, lacking in absent.items():
        names = [of.name for of in lacking if not any(of.table(runs, arm).empty for arm in pair)]
        if names:
            yield (
                f"{_named(pair)}: {', '.join(names)} left out, for no seed of both arms has a number; a pass@k has to "
                "be of one step in all their runs, and of the same problems."
            )


def _why_not(runs: Runs, arm: ArmName, measure: Measure) -> str:
    counts = runs.counts(arm)
    if measure.step is not None and len(counts):
        return f"there are {int(counts['n'].min())} samples a problem"
    return f"no run has a finite {measure.logged or measure.name}"


def _common_seeds(runs: Runs, pair: Pair) -> set[int]:
    first, second = ({record.seed for record in runs.arms[arm]} for arm in pair)
    return first & second


def _seeds(runs: Runs, pair: Pair) -> str:
    return " and ".join(", ".join(str(record.seed) for record in runs.arms[arm]) for arm in pair)


def _named(pair: Pair) -> str:
    return " - ".join(arm.shown for arm in pair)
