"""Which arms are compared with which."""

from analysis.runs.frames import ArmName, Runs

Pair = tuple[ArmName, ArmName]


def against_the_mean(runs: Runs) -> list[Pair]:
    """Each other baseline against the mean of the same variant."""
    means = {arm.variant: arm for arm in runs.arms if arm.baseline == "mean"}
    return [(arm, means[arm.variant]) for arm in runs.arms if arm.variant in means and arm != means[arm.variant]]


def against_the_plain_variant(runs: Runs) -> list[Pair]:
    """Each variant (the regularizer, most often) against the plain one, or the first, of the same baseline."""
    first: dict[str, ArmName] = {}
    for arm in sorted(runs.arms, key=lambda arm: arm.variant != ""):
        first.setdefault(arm.baseline, arm)
    return [(arm, first[arm.baseline]) for arm in runs.arms if arm != first[arm.baseline]]


def default_pairs(runs: Runs) -> list[Pair]:
    """Baselines against the mean and variants against the plain one; where that is nothing, all against the first."""
    pairs = list(dict.fromkeys([*against_the_mean(runs), *against_the_plain_variant(runs)]))
    return pairs or [pair for arm in list(runs.arms)[:1] for pair in against(runs, arm)]


def against(runs: Runs, second: ArmName) -> list[Pair]:
    """Every other arm against one."""
    return [(arm, second) for arm in runs.arms if arm != second]
