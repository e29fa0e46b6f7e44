"""Which runs a figure of the paper asks for, and how they are found among any others."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from analysis.figures.missing import MissingDataError
from analysis.figures.paper import explanations
from analysis.runs.configuration import comparable
from analysis.runs.frames import ArmName, RunRecord, Runs
from analysis.runs.identity import ArmRule
from analysis.runs.naming import baseline_name, k_of, rule_of
from qae.run_directory import RunStatus

FIRST_SEED, SEEDS = 100, 10  # of every arm, as the experiments have them
# The paper's 14B model, and what stands for it on the embedded tasks.
LARGER_MODELS = frozenset({"tabular-larger", "tiny-wide", "qwen3-14b-base", "qwen2.5-32b"})

_ACTOR = "actor_rollout_ref.actor"
CLIP_HIGH = f"{_ACTOR}.clip_ratio_high"
_LOSS = f"{_ACTOR}.policy_loss.loss_mode"
# Loss and upper clip of each regularizer (None: whatever it sets), as sweeps/conf/regularizer has them.
REGULARIZERS: dict[str, tuple[str, float | None]] = {
    "clip_higher": ("vanilla", 0.28),
    "clip_symmetric": ("vanilla", 0.2),
    "clip_cov": ("clip_cov", None),
    "kl_cov": ("kl_cov", None),
    "gspo": ("gspo", None),
}
# Keys by which the paper's arms differ; runs that differ in any other one are not compared.
_AXES = frozenset(
    {
        "algorithm.quantile_k",
        "algorithm.quantile_definition",
        "algorithm.quantile_on",
        "algorithm.advantage",
        f"{_ACTOR}.clip_ratio",
        f"{_ACTOR}.clip_ratio_low",
        CLIP_HIGH,
        f"{_ACTOR}.loss_agg_mode",
    }
)


@dataclass(frozen=True)
class Arm:
    """A method of the paper.

    Attributes:
        k: K of the quantile; None: the mean.
        rule: as `algorithm.advantage`.
        regularizer: name of the option.
        clip_high: upper clip, where it is not the regularizer's own.
    """

    k: float | None = None
    rule: str = "quantile"
    regularizer: str = "clip_higher"
    clip_high: float | None = None

    @property
    def name(self) -> ArmName:
        """As figures call it; Clip-Higher goes without saying."""
        variant = "" if self.regularizer == "clip_higher" else self.regularizer
        if self.clip_high is not None:
            variant = f"clip_ratio_high={self.clip_high:.2f}"
        return ArmName(baseline_name(self.rule, self.k), self.k, variant)

    def matches(self, config: Mapping[str, object]) -> bool:
        """Whether a run with this configuration is of the arm."""
        loss, clip = REGULARIZERS[self.regularizer]
        clip = self.clip_high if self.clip_high is not None else clip
        return (
            rule_of(config) == self.rule
            and k_of(config) == self.k
            and config.get(_LOSS, "vanilla") == loss
            and (clip is None or config.get(CLIP_HIGH) == clip)
        )


@dataclass(frozen=True)
class Needs:
    """The runs of a figure.

    Attributes:
        experiment: name of the experiment that makes them.
        arms: the experiment makes `SEEDS` runs of each, with seeds from `FIRST_SEED` on; others do as well.
        larger_model: whether they are of the larger model.
    """

    experiment: str
    arms: tuple[Arm, ...]
    larger_model: bool = False


@dataclass(frozen=True)
class Selection:
    """What a figure draws.

    Attributes:
        runs: the runs asked for, with the names that the figure gives to their arms.
        ended_early: sentences on runs that are drawn though they ended before their last step, and on runs that are not
            drawn because another one has their arm and seed; or "".
        missing: sentences on runs that are not there, not done or failed, each with the command for it; or "".
    """

    runs: Runs
    ended_early: str
    missing: str


def select(runs: Runs, wanted: Needs) -> Selection:
    """Find the runs of a figure.

    Runs are compared only where nothing but method and seed sets them apart: of several settings (learning rates,
    models, data) the one that has most of the wanted runs is drawn. Of an arm's runs those are drawn that are done or
    ended early (`RunRecord.ended_early`: without them their arm would look better than it is), and others only where
    there is none of these.

    Raises:
        MissingDataError: not one of them is there; says which, and how to make them.
    """
    if not wanted.arms:
        return Selection(runs.only(()), "", "")
    settings: dict[object, dict[Arm, dict[int, RunRecord]]] = {}
    twice: dict[str, str] = {}
    for record in sorted(runs.records, key=_plainness):
        if record.step == 0 or (wanted.larger_model and record.labels.get("model") not in LARGER_MODELS):
            continue
        for arm in wanted.arms:
            if arm.matches(record.config):
                setting = settings.setdefault(_setting(record.config, runs.rule), {})
                first = setting.setdefault(arm, {}).setdefault(record.seed, record)
                if first is not record and first.arm == record.arm:
                    twice[record.id] = first.id
    if not settings:
        raise MissingDataError(_missing(wanted, {}, ""))
    found = max(settings.values(), key=lambda arms: _worth(arms, wanted))
    model = next(iter(next(iter(found.values())).values())).labels.get("model") or ""
    drawn = {arm: _drawn(found[arm]) for arm in wanted.arms if arm in found}
    selected = runs.only(_named(drawn))
    remarks = (_ended_early(drawn), _twice(twice, selected))
    return Selection(selected, " ".join(filter(None, remarks)), _missing(wanted, found, model))


def _twice(twice: Mapping[str, str], drawn: Runs) -> str:
    """A sentence on runs that are not drawn because one that is drawn has their arm and seed; or ""."""
    ids = {record.id for record in drawn.records}
    pairs = [f"{run} (drawn: {first})" for run, first in twice.items() if first in ids]
    return f"Not drawn, because another run has their arm and seed: {', '.join(pairs)}." if pairs else ""


def _plainness(record: RunRecord) -> tuple[bool, bool]:
    """Sort key: of two runs with the same arm and seed, the one with the paper's quantile is drawn."""
    of = record.config
    plain = of.get("algorithm.quantile_definition", "inverse_cdf") == "inverse_cdf"
    return (not plain, of.get("algorithm.quantile_on", "score") != "score")


def _setting(config: Mapping[str, object], rule: ArmRule) -> frozenset[tuple[str, object]]:
    """All that must be equal for runs to be compared; a setting that is off or empty counts as absent."""
    return frozenset(
        (key, comparable(value))
        for key, value in config.items()
        if value and key not in _AXES and not key.startswith(f"{_ACTOR}.policy_loss.") and not rule.is_left_out(key)
    )


def _worth(found: Mapping[Arm, Mapping[int, RunRecord]], wanted: Needs) -> tuple[int, bool, int]:
    enough = sum(min(len(found.get(arm, {})), SEEDS) for arm in wanted.arms)
    records = [record for seeds in found.values() for record in seeds.values()]
    larger = any(record.labels.get("model") in LARGER_MODELS for record in records)
    return (enough, larger == wanted.larger_model, sum(record.step for record in records))


def _drawn(seeds: Mapping[int, RunRecord]) -> Sequence[RunRecord]:
    results = [record for record in seeds.values() if _is_result(record)]
    return sorted(results or seeds.values(), key=lambda record: record.seed)


def _is_result(record: RunRecord) -> bool:
    return record.status is RunStatus.DONE or record.ended_early


def _named(drawn: Mapping[Arm, Sequence[RunRecord]]) -> Iterable[RunRecord]:
    """The records, with the names that the figure gives to their arms."""
    return (replace(record, arm=arm.name) for arm, found in drawn.items() for record in found)


def _ended_early(drawn: Mapping[Arm, Sequence[RunRecord]]) -> str:
    early = {arm: [record for record in records if record.ended_early] for arm, records in drawn.items()}
    parts = [f"{arm.name} ({', '.join(map(_end, records))})" for arm, records in early.items() if records]
    if not parts:
        return ""
    collapsed = any(record.collapsed for records in early.values() for record in records)
    meaning = " Collapsed: no prompt had both right and wrong responses any more." if collapsed else ""
    return f"Ended early, counted with what they logged last: {'; '.join(parts)}.{meaning}"


def _end(record: RunRecord) -> str:
    how = "collapsed" if record.collapsed else record.status.shown
    return f"seed {record.seed} {how} at step {record.step} of {record.total_steps}"


def _missing(wanted: Needs, found: Mapping[Arm, Mapping[int, RunRecord]], model: str) -> str:
    seeds: Sequence[int] = range(FIRST_SEED, FIRST_SEED + SEEDS)
    command = f"python sweep.py -m +experiment={wanted.experiment}"
    if found and model not in explanations.MODELS:  # whose runs cost hours: no more seeds than some arm has
        seeds = sorted(set().union(*found.values()))
        command += f" model={model or '…'} seed={','.join(map(str, seeds))}"
    lacking = {arm: _lacking(seeds, found.get(arm, {})) for arm in wanted.arms}
    missing = [f"{arm.name} ({words})" for arm, (words, _) in lacking.items() if words]
    failed = [f"{arm.name} ({words})" for arm, (_, words) in lacking.items() if words]
    parts = [f"Missing runs: {'; '.join(missing)}. `{command}` makes them."] if missing else []
    parts += [f"Failed runs: {'; '.join(failed)}. `{command} sweep.retry=true` starts them again."] if failed else []
    return " ".join(parts)


def _lacking(wanted: Sequence[int], found: Mapping[int, RunRecord]) -> tuple[str, str]:
    """What an arm lacks: "seeds 102, 103; seed 101 running at step 20" and "seed 104 at step 3: out of memory"."""
    results = sum(map(_is_result, found.values()))
    unfinished = [record for record in found.values() if not _is_result(record)][: max(0, len(wanted) - results)]
    absent = [seed for seed in wanted if seed not in found][: max(0, len(wanted) - results - len(unfinished))]
    going = [record for record in unfinished if record.status is not RunStatus.FAILED]
    failed = [record for record in unfinished if record.status is RunStatus.FAILED]
    parts = [f"{'seed' if len(absent) == 1 else 'seeds'} {', '.join(map(str, absent))}"] if absent else []
    parts += [f"seed {record.seed} {record.status.shown} at step {record.step}" for record in going]
    reasons = [f"seed {run.seed} at step {run.step}: {run.reason or 'no reason is known'}" for run in failed]
    return "; ".join(parts), "; ".join(reasons)
