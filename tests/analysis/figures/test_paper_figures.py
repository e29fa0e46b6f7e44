"""The paper's figures: their experiments make their runs, and what is drawn is what the runs logged."""

import itertools
import math
import re
import shutil
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
import pandas as pd
import pytest
from matplotlib.axes import Axes
from matplotlib.collections import PolyCollection
from matplotlib.container import BarContainer, ErrorbarContainer
from matplotlib.figure import Figure

from analysis import drawing, gallery, published, statistics, table
from analysis.figures import curves, paper
from analysis.figures.paper import experiments as written_experiments
from analysis.figures.paper.selection import FIRST_SEED, LARGER_MODELS, SEEDS, Arm
from analysis.runs.configuration import flatten
from analysis.runs.frames import Runs
from analysis.sources import run_store
from qae import metrics, theory
from qae.run_directory import NOTHING_TO_LEARN, RunDirectory, RunState, RunStatus
from sweeps.run_store.identity import run_id
from tests.analysis.experiments import runs_of
from tests.analysis.stores import write_run
from tests.support.configs import TREE

pytestmark = pytest.mark.slow

Values: TypeAlias = npt.NDArray[np.float64]
NAMES = paper.names()
EXPERIMENTS = sorted({paper.needs_of(name).experiment for name in NAMES})


@pytest.fixture(scope="module", params=NAMES)
def prepared(request: pytest.FixtureRequest, paper_runs: Runs) -> paper.Prepared:
    return paper.prepare(str(request.param), paper_runs)


# Experiments


@pytest.mark.parametrize("name", NAMES)
def test_an_experiment_makes_exactly_the_runs_that_its_figure_asks_for(name: str) -> None:
    needs = paper.needs_of(name)
    made = [flatten(config) for config in runs_of(needs.experiment)]
    arms = [[arm for arm in needs.arms if arm.matches(config)] for config in made]
    assert all(len(found) == 1 for found in arms) or not needs.arms
    assert Counter(found[0] for found in arms if found) == Counter(dict.fromkeys(needs.arms, SEEDS))
    assert all((config["labels.model"] in LARGER_MODELS) == needs.larger_model for config in made)


@pytest.mark.parametrize("name", written_experiments.names())
def test_an_experiment_is_written_from_what_its_figures_need(name: str) -> None:
    text = (TREE / "experiment" / f"{name}.yaml").read_text()
    assert written_experiments.written(name, text) == text, "run `make experiments`"


def test_of_a_new_experiment_only_the_words_are_written_by_hand() -> None:
    text = written_experiments.written("fig9", "# Four values of K.\n")
    assert "# Four values of K.\n" in text
    assert text.splitlines()[3:] == (TREE / "experiment" / "fig9.yaml").read_text().splitlines()[3:]


def test_the_experiment_of_all_is_the_union_of_the_others() -> None:
    union = {run_id(config) for experiment in EXPERIMENTS for config in runs_of(experiment)}
    assert union == {run_id(config) for config in runs_of("paper")}


def test_every_experiment_of_the_paper_has_a_figure() -> None:
    numbers = {"fig1", "fig2", "fig3", "fig4a", "fig4b", "fig4c", "fig5a", "fig5b", "fig5c", "fig6a", "fig6b", "fig6c"}
    numbers |= {"fig7", "fig8", "fig9", "fig10", "fig11", "table1", "table2"}
    ours = {"k_response", "pareto", "sparsity", "regularizer_by_k", "seed_sensitivity"}
    assert set(NAMES) == numbers | ours
    assert paper.of_experiment("fig5") == ("fig5a", "fig5b", "fig5c")


# What is drawn equals the tables


def drawn(figure: Figure) -> set[tuple[str, str, float]]:
    """Panel, series and value of every point, bar, cell and area, read back from the artists."""
    return {
        (str(axes.get_label()), series, round(float(value), 9))
        for axes in figure.axes
        if axes.get_visible()
        for series, values in _artists(axes)
        for value in values
    }


def _artists(axes: Axes) -> Iterator[tuple[str, Values]]:
    for container in axes.containers:
        if isinstance(container, BarContainer):
            yield str(container.get_label()), np.array([bar.get_height() for bar in container.patches])
        elif isinstance(container, ErrorbarContainer):
            line = container[0]
            both = axes.get_xlabel() == "pass@1"  # the Pareto figure: values along both axes
            points = np.ravel([line.get_xdata(), line.get_ydata()]) if both else line.get_ydata()
            yield str(container.get_label()), np.asarray(points, dtype=float)
    for line in axes.get_lines():
        label = str(line.get_label())
        if not label.startswith("_") and not label.endswith("in the paper"):
            along_x = axes.get_xscale() == "log"  # tokens: the share is along x
            yield label, np.unique(np.asarray(line.get_xdata() if along_x else line.get_ydata(), dtype=float))
    yield from _areas(axes)
    for image in axes.get_images():
        names = [tick.get_text() for tick in axes.get_yticklabels()]
        for name, row in zip(names, np.ma.asarray(image.get_array()), strict=True):
            yield name, np.ma.compressed(row)


def _areas(axes: Axes) -> Iterator[tuple[str, Values]]:
    """Heights of stacked areas, the only ones with a hatch (or an empty one)."""
    for area in axes.collections:
        if isinstance(area, PolyCollection) and area.get_hatch() is not None:
            vertices = np.asarray(area.get_paths()[0].vertices)
            at_x = [vertices[vertices[:, 0] == x, 1] for x in np.unique(vertices[:, 0])]
            yield str(area.get_label()), np.array([np.ptp(heights) for heights in at_x])


def test_what_is_drawn_is_the_table(prepared: paper.Prepared) -> None:
    expected = {
        (row["panel"], row["series"], round(float(row["value"]), 9)) for row in prepared.data.to_dict("records")
    }
    found = drawn(paper.paint(prepared, "a test"))
    if prepared.name == "fig5c":  # where lines meet, an area has no height
        expected = {point for point in expected if point[2] > 0}
        found = {point for point in found if point[2] > 0}
    assert found == expected


def test_the_intervals_that_are_drawn_are_the_tables(paper_runs: Runs) -> None:
    item = paper.prepare("fig9", paper_runs)
    panel, *_ = paper.paint(item, "a test").axes
    bands = [np.asarray(band.get_paths()[0].vertices)[:, 1] for band in panel.collections]
    rows = item.data[item.data["panel"] == panel.get_label()]
    for band, (_, of_arm) in zip(bands, rows.groupby("series", sort=False), strict=True):
        assert (band.min(), band.max()) == pytest.approx((of_arm["low"].min(), of_arm["high"].max()))
    item = paper.prepare("table1", paper_runs)
    (axes,) = paper.paint(item, "a test").axes
    ours = next(c for c in axes.containers if isinstance(c, ErrorbarContainer) and c.get_label() == "here")
    segments = np.array([np.ravel(segment)[[1, 3]] for segment in ours[2][0].get_segments()])
    expected = item.data[item.data["series"] == "here"].sort_values("x")[["low", "high"]]
    assert segments == pytest.approx(expected.to_numpy(dtype=float))


# The tables equal what the runs logged


def values(item: paper.Prepared, panel: str, series: str) -> "pd.Series[float]":
    rows = item.data[(item.data["panel"] == panel) & (item.data["series"] == series)]
    assert len(rows)
    return rows.set_index("x")["value"]


def test_curves_are_means_over_seeds_and_estimates(paper_runs: Runs) -> None:
    item = paper.prepare("fig10", paper_runs)
    for arm in (Arm().name, Arm(0.4).name):
        for label, metric in (
            ("Policy entropy (nats/token)", metrics.ENTROPY),
            ("Response length (tokens)", metrics.LENGTH_MEAN),
        ):
            logged = item.runs.series(arm, metric.name)
            assert logged.shape[1] == SEEDS
            assert values(item, label, str(arm)).tolist() == pytest.approx(logged.mean(axis=1).tolist())
        curve = statistics.pass_at_k_curve(item.runs.counts(arm), 1)
        assert values(item, "pass@1", str(arm)).to_dict() == curve["value"].to_dict()
    by_sign = paper.prepare("fig5b", paper_runs)
    below = values(by_sign, "mean: Difference (nats/token)", "negative advantage")
    assert below.tolist() == pytest.approx([0.02] * 6)
    assert values(paper.prepare("fig5c", paper_runs), "K = 0.4", "R - b = 0").tolist() == pytest.approx([0.75] * 6)


def test_final_numbers_are_those_of_the_result_table(paper_runs: Runs) -> None:
    response, heat = paper.prepare("k_response", paper_runs), paper.prepare("regularizer_by_k", paper_runs)
    rows = {row.arm: row for row in table.summarise(response.runs).rows}
    for k in (0.2, 0.4, 0.6, 0.8):
        row = rows[f"K = {k}"]
        assert row.pass_1 is not None
        assert row.entropy_peak is not None
        assert row.entropy_final is not None
        assert values(response, "Final pass@1", "K-quantile")[k] == pytest.approx(row.pass_1.value)
        assert values(response, "Peak policy entropy (nats/token)", "K-quantile")[k] == pytest.approx(
            row.entropy_peak.value
        )
        assert values(response, "Final policy entropy (nats/token)", "K-quantile")[k] == pytest.approx(
            row.entropy_final.value
        )
    rows = {row.arm: row for row in table.summarise(heat.runs).rows}
    gspo = rows["K = 0.8, gspo"]
    assert gspo.pass_1 is not None
    assert values(heat, "pass@1", "gspo")["K = 0.8"] == pytest.approx(gspo.pass_1.value)
    pareto = paper.prepare("pareto", paper_runs)
    rows = {row.arm: row for row in table.summarise(pareto.runs).rows}
    masked = rows["NEG-MASK K = 0.4"]
    assert masked.pass_16 is not None
    assert values(pareto, "here", "NEG-MASK K = 0.4")["pass@16"] == pytest.approx(masked.pass_16.value)


def test_published_numbers_are_marks_beside_ours(paper_runs: Runs) -> None:
    first, second, bars = (paper.prepare(name, paper_runs) for name in ("table1", "table2", "fig6a"))
    marks = values(first, "pass@1", "published: AIME24")
    assert marks.to_dict() == {f"{clip:.2f}": value for clip, value in published.TABLE_1.items()}
    assert values(second, "pass@16, AIME24 (paper)", "published: K = 0.4")["kl_cov"] == pytest.approx(0.7708)
    assert len(second.data[second.data["panel"].str.contains("paper")]) == 48
    assert values(bars, "AIME24 (paper)", "published").to_dict() == {"mean": 0.5656, "K = 0.4": 0.5896}
    relative = {score.regularizer: score.pass_1 for score in published.TABLE_2 if score.data_set == "AIME24"}
    assert relative["clip_higher"] / 0.3969 - 1 == pytest.approx(0.215, abs=5e-4)  # the paper's +21.5 %


def test_tokens_and_marker_words_are_counted_from_their_lines(paper_runs: Runs) -> None:
    words = values(paper.prepare("fig7", paper_runs), "K = 0.4", "marker words (left axis)")
    seeds = np.arange(FIRST_SEED, FIRST_SEED + SEEDS)
    assert words.tolist() == pytest.approx([float(np.mean(10 * step + seeds + 5)) for step in range(1, 7)])
    item = paper.prepare("fig3", paper_runs)
    assert list(item.data["panel"].unique()) == ["step 1", "step 2", "step 4"]
    assert values(item, "step 4", "anthropomorphic").to_dict() == {"wait": pytest.approx(0.14)}
    assert values(item, "step 4", "reasoning").to_dict() == {"so": pytest.approx(0.4 + 0.001 * seeds.mean())}
    assert values(item, "step 4", "other").to_dict() == {"7": pytest.approx(0.2)}


def test_formulas_are_drawn_without_runs() -> None:
    nothing = run_store.load(Path("no-such-store"))
    item = paper.prepare("fig4b", nothing)
    rates = values(item, "Weight on right responses", "QAE, K = 0.4").index.to_numpy(dtype=float)
    weights = values(item, "Weight on right responses", "QAE, K = 0.4").to_numpy(dtype=float)
    assert weights == pytest.approx(theory.quantile_positive_weight(rates, 0.4))
    assert weights.max() == pytest.approx(np.sqrt(1.5))  # at p = 0.6
    assert "Formulas; no runs." in paper.caption(item, "a test")


def test_sparsity_shows_theory_and_batches(paper_runs: Runs) -> None:
    item = paper.prepare("sparsity", paper_runs)
    batches = values(item, "share over p", "K = 0.8: batches")
    assert sorted(set(batches.index)) == pytest.approx([0.3 + 0.02 * step for step in range(1, 7)])
    assert set(batches) == {0.75}
    line = values(item, "share over p", "K = 0.8: theory")
    assert line.to_numpy(dtype=float) == pytest.approx(
        theory.zero_advantage_share(line.index.to_numpy(dtype=float), 0.8)
    )


def test_every_choice_of_seeds_is_drawn(paper_runs: Runs) -> None:
    item = paper.prepare("seed_sensitivity", paper_runs)
    choices = item.data[item.data["panel"] == "difference by number of seeds"]
    assert choices.groupby("x").size().to_dict() == {chosen: math.comb(SEEDS, chosen) for chosen in range(1, SEEDS + 1)}


def test_of_many_seeds_some_choices_are_drawn_and_always_the_same(tmp_path: Path) -> None:
    """Twenty seeds have a million choices, which took minutes and gigabytes."""
    for seed, k in itertools.product(range(20), (-1, 0.4)):
        write_run(tmp_path, f"{seed}-{k}", {"algorithm.quantile_k": k, "seed": seed})
    runs = run_store.load(tmp_path)
    first, again = (paper.prepare("seed_sensitivity", runs).data for _ in range(2))
    choices = first[first["panel"] == "difference by number of seeds"]
    sizes = choices.groupby("x").size().to_dict()
    assert sizes == {chosen: min(math.comb(20, chosen), 500) for chosen in range(1, 21)}
    assert choices.groupby("x")["value"].mean().to_numpy() == pytest.approx(choices["value"].iloc[-1], abs=0.01)
    assert first.equals(again)


# Captions


def test_captions_say_sizes_source_and_findings(prepared: paper.Prepared) -> None:
    caption = paper.caption(prepared, "run store runs")
    assert "Missing runs" not in caption
    if prepared.runs.records:
        assert "Source: run store runs." in caption
        assert "12 held-out problems with 32 samples each" in caption
        assert "Against the paper:" in caption


def test_band_names_what_curves_draw(paper_runs: Runs) -> None:
    assert all(
        curves.BAND in paper.caption(paper.prepare(name, paper_runs), "a test") for name in ("fig1", "fig9", "fig11")
    )


# Files and the gallery


def test_a_figure_is_written_in_three_formats_beside_its_data(paper_runs: Runs, tmp_path: Path) -> None:
    written = drawing.write(paper_runs, ("fig9",), tmp_path, ("png", "svg", "pdf"), source="a test")
    assert [path.name for path in written.paths] == ["fig9.csv", "fig9.png", "fig9.svg", "fig9.pdf"]
    begins = {"png": b"\x89PNG", "svg": b"<?xml", "pdf": b"%PDF"}
    assert all((tmp_path / f"fig9.{suffix}").read_bytes().startswith(magic) for suffix, magic in begins.items())
    assert "K = 0.8" in (tmp_path / "fig9.svg").read_text()  # text stays text
    on_disk = pd.read_csv(tmp_path / "fig9.csv")
    assert on_disk["value"].tolist() == pytest.approx(paper.prepare("fig9", paper_runs).data["value"].tolist())


def test_the_gallery_shows_pictures_claims_numbers_and_what_is_missing(paper_store: Path, tmp_path: Path) -> None:
    root = tmp_path / "store"
    shutil.copytree(paper_store, root)
    larger = [record for record in run_store.load(root).records if record.labels["model"] == "tabular-larger"]
    for record in larger:
        shutil.rmtree(root / record.id)
    for config, reason in zip(runs_of("fig9"), ("out of memory", f"ValueError: {NOTHING_TO_LEARN}"), strict=False):
        failed = RunState(RunStatus.FAILED, step=6, total_steps=6, reason=reason)
        RunDirectory(root / run_id(config)).write_state(failed)
    page = tmp_path / "docs" / "gallery.md"
    written = gallery.write(
        run_store.load(root), page, page.parent / "images", source="a test", names=("fig4b", "fig9", "table1", "fig11")
    )
    text = page.read_text()
    assert [path.name for path in written.pictures] == ["fig4b.png", "fig9.png", "table1.png"]
    assert all((page.parent / link).stat().st_size < 200_000 for link in ("images/fig9.png", "images/table1.png"))
    assert "](images/fig9.png)" in text
    assert "Failed runs: K = 0.2 (seed 100 at step 6: out of memory). `python sweep.py" in text
    assert "Ended early, counted with what they logged last: K = 0.2 (seed 101 collapsed at step 6 of 6)." in text
    assert "seed 100), step 6 of 6: out of memory" in text
    assert f"seed 101), step 6 of 6: ValueError: {NOTHING_TO_LEARN}" in text
    assert re.search(r"The figures judge \d+ claims: \d+ appear in these runs", text)
    assert "| the paper | here | numbers |" in text
    assert "| pass@1 | 0.28 | " in text
    assert "0.397 |" in text
    assert "## Fig. 11" in text
    seeds = ", ".join(str(seed) for seed in range(FIRST_SEED, FIRST_SEED + SEEDS))
    assert f"Not drawn. Missing runs: mean (seeds {seeds}); K = 0.4 (seeds {seeds})." in text
    assert set(written.left_out) == {"fig11"}
