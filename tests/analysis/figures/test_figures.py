"""What figures draw equals the frames; every figure copes with few, many, short and missing runs."""

from dataclasses import replace
from itertools import pairwise, product
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from matplotlib.axes import Axes
from matplotlib.collections import PolyCollection
from matplotlib.container import ErrorbarContainer

from analysis import drawing, figures, statistics
from analysis.figures import panels, style
from analysis.figures.missing import MissingDataError, require
from analysis.report import contents
from analysis.runs.frames import ArmName, Runs
from analysis.sources import run_store
from qae import metrics
from qae.run_directory import RunStatus
from tests.analysis.stores import entropy, write_run, write_sweep

NOISE = {"data.reward_noise.random": 0.3}


@pytest.fixture
def runs(tmp_path: Path) -> Runs:
    write_sweep(tmp_path)
    return run_store.load(tmp_path)


def drawn(axes: Axes) -> dict[str, tuple[list[float], list[float]]]:
    """Each labelled line's points."""
    return {
        str(line.get_label()): (np.asarray(line.get_xdata()).tolist(), np.asarray(line.get_ydata()).tolist())
        for line in axes.get_lines()
        if not str(line.get_label()).startswith("_")
    }


def band(axes: Axes, index: int) -> tuple[float, float]:
    """Lowest and highest y of the n-th band."""
    collection = [item for item in axes.collections if isinstance(item, PolyCollection)][index]
    heights = np.asarray(collection.get_paths()[0].vertices)[:, 1]
    return float(heights.min()), float(heights.max())


def test_entropy_and_pass_draws_the_means_and_the_estimates(runs: Runs) -> None:
    entropy_axes, pass_1, pass_16 = figures.draw("entropy_and_pass", runs, "a test").axes
    for arm in runs.arms:
        expected = runs.series(arm, metrics.ENTROPY.name).mean(axis=1)
        steps, values = drawn(entropy_axes)[str(arm)]
        assert steps == expected.index.tolist()
        assert values == pytest.approx(expected.tolist(), abs=1e-12)
        for axes, k in ((pass_1, 1), (pass_16, 16)):
            curve = statistics.pass_at_k_curve(runs.counts(arm), k)
            steps, values = drawn(axes)[str(arm)]
            assert steps == [0, 3, 6]
            assert values == curve["value"].tolist()
            low, high = band(axes, list(runs.arms).index(arm))
            assert (low, high) == (curve["low"].min(), curve["high"].max())


def test_two_seeds_have_their_range_for_a_band_and_one_has_none(runs: Runs) -> None:
    axes = figures.draw("entropy_and_pass", runs, "a test").axes[0]
    assert band(axes, 0) == pytest.approx((entropy(6, 0, -1), entropy(1, 1, -1)))
    single = Runs(runs.records[:1], runs.metrics, runs.evaluations)
    assert not figures.draw("entropy_and_pass", single, "a test").axes[0].collections


def test_three_seeds_have_a_t_interval(tmp_path: Path) -> None:
    for seed in range(3):
        write_run(tmp_path, str(seed), {"seed": seed})
    runs = run_store.load(tmp_path)
    means = statistics.means_over_seeds(runs.series(next(iter(runs.arms)), metrics.ENTROPY.name))
    axes = figures.draw("entropy_and_pass", runs, "a test").axes[0]
    assert band(axes, 0) == pytest.approx((means["low"].min(), means["high"].max()))


def test_shares_are_stacked_as_logged(runs: Runs) -> None:
    for axes, arm in zip(figures.draw("advantage_shares", runs, "a test").axes, runs.arms, strict=True):
        zero = runs.series(arm, metrics.ZERO_FRACTION.name).mean(axis=1)
        assert axes.get_title() == f"{arm}\n(zero: {zero.mean():.0%})"
        heights = [band(axes, index) for index in range(3)]
        positive = 0.6 * (1 - zero.iloc[0])
        assert heights[0] == pytest.approx((0, positive))
        assert heights[1] == pytest.approx((positive, positive + zero.iloc[0]))
        assert heights[2] == pytest.approx((positive + zero.iloc[0], 1))


@pytest.mark.slow
def test_classes_and_their_differences_are_drawn_as_logged(runs: Runs) -> None:
    axes = [axes for axes in figures.draw("entropy_by_sign", runs, "a test").axes if axes.get_visible()]
    above, below = axes[:3], axes[3:]
    for arm, upper, lower in zip(runs.arms, above, below, strict=True):
        expected = runs.series(arm, metrics.ENTROPY_NEGATIVE.name).mean(axis=1)
        assert drawn(upper)["negative advantage"][1] == pytest.approx(expected.tolist())
        assert drawn(lower)["negative advantage"][1] == pytest.approx([0.02] * 6)
        assert drawn(lower)["positive advantage"][1] == pytest.approx([-0.01] * 6)
        assert ("zero advantage" in drawn(upper)) == (arm.k is not None)


def test_the_noise_control_has_a_panel_a_clip_and_a_line_a_baseline(tmp_path: Path) -> None:
    off = {**NOISE, "labels.regularizer": "clip_off", "actor_rollout_ref.actor.clip_ratio_high": 1e6}
    arms: list[dict[str, object]] = [{**NOISE}, off, {**NOISE, "algorithm.quantile_k": 0.4}]
    for index, changes in enumerate(arms):
        write_run(tmp_path, str(index), changes)
    runs = run_store.load(tmp_path)
    clipped, unclipped = figures.draw("noise_control", runs, "a test").axes
    assert (clipped.get_title(), unclipped.get_title()) == ("clip_higher", "clip_off")
    assert set(drawn(clipped)) == {"mean", "K = 0.4"}
    assert drawn(unclipped)["mean"][1] == [entropy(step, 0, -1) for step in range(1, 7)]


def test_the_noise_control_wants_noise(runs: Runs) -> None:
    with pytest.raises(MissingDataError, match=r"experiment=reward_noise"):
        figures.draw("noise_control", runs, "a test")


FAILURES, UPPER_CLIP = "tabular.failure_tokens", "actor_rollout_ref.actor.clip_ratio_high"


@pytest.mark.slow
def test_the_explosion_has_a_panel_a_length_of_failures_and_a_line_a_baseline(tmp_path: Path) -> None:
    for index, (failure, clip, k, seed) in enumerate(product((0, 3), (0.2, 0.28), (-1, 0.4), (0, 1))):
        changes = {FAILURES: failure, UPPER_CLIP: clip, "algorithm.quantile_k": k, "seed": seed}
        write_run(tmp_path, str(index), changes)
    runs = run_store.load(tmp_path)
    panels_ = figures.draw("explosion", runs, "a test").axes
    assert [axes.get_title() for axes in panels_] == ["failures 0 tokens longer", "failures 3 tokens longer"]
    assert {axes.get_xlabel() for axes in panels_} == {"Upper clip (clip_ratio_high)"}
    for axes in panels_:
        lines = drawn(axes)
        assert set(lines) == {"mean", "K = 0.4", "start of the runs"}
        for name, k in (("mean", -1), ("K = 0.4", 0.4)):
            final = np.mean([entropy(step, seed, k) for step in range(2, 7) for seed in (0, 1)])
            assert lines[name][0] == [0.2, 0.28]
            assert lines[name][1] == pytest.approx([final, final])
        start = np.mean([entropy(1, seed, k) for seed in (0, 1) for k in (-1, 0.4)])
        assert lines["start of the runs"][1] == pytest.approx([start, start])


def test_the_explosion_wants_clips_that_differ_and_nothing_else_that_does(tmp_path: Path) -> None:
    for index, clip in enumerate((0.2, 0.28)):
        write_run(tmp_path / "a", str(index), {FAILURES: 3, UPPER_CLIP: clip})
        write_run(tmp_path / "b", str(index), {FAILURES: 3, UPPER_CLIP: 0.2, "actor_rollout_ref.rollout.n": 8 + index})
        write_run(tmp_path / "c", str(index), {FAILURES: 3 * index, UPPER_CLIP: 0.2})
    assert figures.draw("explosion", run_store.load(tmp_path / "a"), "a test")
    with pytest.raises(MissingDataError, match="differ in more than"):
        figures.draw("explosion", run_store.load(tmp_path / "b"), "a test")
    with pytest.raises(MissingDataError, match=r"experiment=explosion"):
        figures.draw("explosion", run_store.load(tmp_path / "c"), "a test")


@pytest.mark.slow
def test_the_sensitivity_has_a_row_a_variant_and_a_point_a_baseline(tmp_path: Path) -> None:
    world: dict[str, object] = {"labels.model": "tabular", "tabular.vocabulary": 64, "tabular.tail": 8}
    variants: list[dict[str, object]] = [
        {},
        {"tabular.vocabulary": 16},
        {"tabular.vocabulary": 256},
        {"tabular.tail": 3},
    ]
    for index, (variant, k, seed) in enumerate(product(variants, (-1, 0.4), (0, 1))):
        write_run(tmp_path, str(index), {**world, **variant, "algorithm.quantile_k": k, "seed": seed})
    [axes] = figures.draw("sensitivity", run_store.load(tmp_path), "a test").axes
    rows = [label.get_text() for label in axes.get_yticklabels()]
    assert rows[0] == "as it is"
    assert len(rows) == 4
    points = {str(bars.get_label()): bars.lines[0] for bars in axes.containers if isinstance(bars, ErrorbarContainer)}
    assert set(points) == {"mean", "K = 0.4"}
    for name, k in (("mean", -1), ("K = 0.4", 0.4)):
        changes = [np.mean([entropy(step, seed, k) for step in range(2, 7)]) - entropy(1, seed, k) for seed in (0, 1)]
        assert np.asarray(points[name].get_xdata()) == pytest.approx([np.mean(changes)] * 4)


def test_the_sensitivity_wants_variants_of_the_tabular_world(runs: Runs) -> None:
    with pytest.raises(MissingDataError, match=r"experiment=sensitivity"):
        figures.draw("sensitivity", runs, "a test")


def test_the_drift_has_a_point_a_run_and_the_rank_correlation(tmp_path: Path) -> None:
    for index, (k, seed) in enumerate(product((-1, 0.4, 0.8), (0, 1))):
        write_run(tmp_path, str(index), {"algorithm.quantile_k": k, "seed": seed})
    runs = run_store.load(tmp_path)
    early = pd.DataFrame(
        [
            {"run": record.id, "step": step, "name": name, "value": value * int(record.id)}
            for record in runs.records
            for step in range(1, 7)
            for name, value in ((metrics.ADVANTAGE_TOKEN_MEAN.name, -1.0), (metrics.CLIP_DRIFT.name, 0.01))
        ]
    )
    logged = replace(runs, metrics=pd.concat([runs.metrics, early], ignore_index=True))
    figure = figures.draw("entropy_drift", logged, "a test")
    change = {
        record.id: np.mean([entropy(step, record.seed, record.arm.k or -1) for step in range(2, 7)])
        - entropy(1, record.seed, record.arm.k or -1)
        for record in runs.records
    }
    for axes, sign in zip(figure.axes, (-1.0, 0.01), strict=True):
        found = {(x, y) for xs, ys in drawn(axes).values() for x, y in zip(xs, ys, strict=True) if len(xs) == 2}
        wanted = [(sign * int(run), value) for run, value in change.items()]
        assert sorted(found) == [pytest.approx(point) for point in sorted(wanted)]
        rank = pd.Series([sign * int(run) for run in change]).corr(pd.Series(list(change.values())), method="spearman")
        assert axes.get_title() == f"rank correlation {rank:.2f}"


def test_the_drift_wants_runs_that_logged_it(runs: Runs) -> None:
    with pytest.raises(MissingDataError, match=r"qae/advantage_token_mean"):
        figures.draw("entropy_drift", runs, "a test")


def test_axes_are_labelled_with_units(runs: Runs) -> None:
    for axes, label in zip(
        figures.draw("entropy_and_pass", runs, "a test").axes,
        ("Policy entropy (nats/token)", "pass@1", "pass@16"),
        strict=True,
    ):
        assert (axes.get_xlabel(), axes.get_ylabel()) == ("Global step", label)


@pytest.mark.slow
def test_captions_say_sizes_and_source(runs: Runs) -> None:
    for name in ("entropy_and_pass", "advantage_shares", "entropy_by_sign"):
        caption = figures.draw(name, runs, "sweep 'demo'").get_supxlabel().replace("\n", " ")
        assert "n = 2 seeds an arm, 6 held-out problems with 32 samples each. Source: sweep 'demo'." in caption


_NEW_FIGURE = '''"""Steps of each run.

More is not to be said.
"""

from matplotlib.figure import Figure

from analysis.figures import style
from analysis.runs.frames import Runs


def draw(runs: Runs, source: str) -> Figure:
    figure, [[axes]] = style.new_figure(1, 1, width=4, height=3)
    axes.plot([record.step for record in runs.records])
    style.add_caption(figure, style.sizes(runs, source))
    return figure
'''


@pytest.mark.slow
def test_a_new_figure_is_one_new_file(runs: Runs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    known = figures.names()
    (tmp_path / "new").mkdir()
    (tmp_path / "new" / "steps_of_runs.py").write_text(_NEW_FIGURE)
    monkeypatch.setattr(figures, "__path__", [*figures.__path__, str(tmp_path / "new")])
    assert figures.names() == sorted([*known, "steps_of_runs"])
    assert drawing.title("steps_of_runs") == "Steps of each run."
    written = drawing.write(runs, figures.names(), tmp_path / "out", ("png",), source="a test")
    assert "steps_of_runs.png" in {path.name for path in written.paths}
    assert "steps_of_runs" in contents.figure_names()


@pytest.mark.slow
@pytest.mark.parametrize("name", ["advantage_shares", "entropy_and_pass", "entropy_by_sign"])
def test_figures_cope_with_runs_of_unequal_length(tmp_path: Path, name: str) -> None:
    write_run(tmp_path, "a", {"seed": 0})
    write_run(tmp_path, "b", {"seed": 1}, steps=2, evaluate=(0,), status=RunStatus.FAILED)
    write_run(tmp_path, "c", {"algorithm.quantile_k": 0.4}, steps=0, evaluate=(), status=RunStatus.QUEUED)
    written = drawing.write(run_store.load(tmp_path), [name], tmp_path / "out", ("png",), source="a test")
    assert [path.name for path in written.paths] == [f"{name}.png"]


def test_figures_without_data_say_what_is_missing(tmp_path: Path) -> None:
    write_run(tmp_path, "a", steps=0, evaluate=())
    written = drawing.write(run_store.load(tmp_path), figures.names(), tmp_path / "out", ("png",), source="a test")
    assert written.paths == ()
    assert set(written.left_out) == set(figures.names())


@pytest.mark.slow
def test_the_same_runs_give_the_same_files(runs: Runs, tmp_path: Path) -> None:
    first, second = (
        [
            path.read_bytes()
            for path in drawing.write(runs, ["advantage_shares"], tmp_path / out, FORMATS, source="s").paths
        ]
        for out in ("one", "two")
    )
    assert first == second


FORMATS = ("png", "svg", "pdf")


def test_colours_follow_k_and_dashes_the_variant() -> None:
    arms = [ArmName("mean", None, ""), *(ArmName(f"K = {k}", k, v) for k in (0.2, 0.8) for v in ("", "clip_off"))]
    looks = style.looks(arms)
    assert looks[arms[0]].colour == style.ALL
    assert looks[arms[1]].colour == looks[arms[2]].colour != looks[arms[3]].colour
    assert looks[arms[1]].dash == looks[arms[3]].dash != looks[arms[2]].dash
    assert len({look.marker for look in looks.values()}) == len(arms)


def test_one_baseline_with_several_variants_is_coloured_by_variant() -> None:
    looks = style.looks([ArmName("mean", None, variant) for variant in ("", "gspo", "kl_cov", "clip_cov", "sapo")])
    assert len({look.colour for look in looks.values()}) == 5


@pytest.mark.slow
def test_titles_are_no_wider_than_their_panels(tmp_path: Path) -> None:
    """Six arms with long names side by side."""
    changes = {"labels.regularizer": "clip_symmetric", "actor_rollout_ref.actor.clip_ratio_high": 0.2}
    for index, rate in enumerate((0.0001, 0.0002, 0.0003, 0.0004, 0.0005, 0.0006)):
        arm = changes if index % 2 else {}
        write_run(tmp_path, f"r{index}", {**arm, "actor_rollout_ref.actor.optim.lr": rate})
    runs = run_store.load(tmp_path)
    assert max(len(str(arm)) for arm in runs.arms) > 27
    figure = figures.draw("advantage_shares", runs, "sweep 'demo'")
    figure.draw_without_rendering()
    titles = [axes.title.get_window_extent() for axes in figure.axes if axes.get_visible()]
    assert len(titles) == panels.MOST_COLUMNS
    assert all(left.x1 < right.x0 for left, right in pairwise(titles))


def test_a_long_legend_leaves_the_panels_their_height() -> None:
    def height(entries: int) -> float:
        figure, [axes] = style.new_figure(1, 1, width=8, height=4)
        style.add_legend(
            figure, {f"an arm with quite a long name, number {n}": axes[0].plot([n])[0] for n in range(entries)}
        )
        figure.draw_without_rendering()
        return float(axes[0].get_window_extent().height)

    assert height(24) == pytest.approx(height(2), rel=0.25)


def test_a_metric_that_foreign_runs_do_not_log_is_not_waited_for(tmp_path: Path) -> None:
    write_run(tmp_path, "a")
    runs = run_store.load(tmp_path)
    foreign = replace(runs, metrics=runs.metrics[runs.metrics["name"] == metrics.ENTROPY.name])
    with pytest.raises(MissingDataError, match=r"docs/verl\.md") as of_foreign:
        require(foreign, metrics.ENTROPY, metrics.POSITIVE_FRACTION)
    assert metrics.POSITIVE_FRACTION.name in str(of_foreign.value)
    assert "qae status" not in str(of_foreign.value)
    with pytest.raises(MissingDataError, match="qae status"):
        require(replace(runs, metrics=runs.metrics.iloc[:0]), metrics.ENTROPY)
