"""Runs of other programs: samples, settings and values in forms that are not ours. Nothing is dropped in silence."""

import json
import math
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from analysis import comparison, sources, table
from analysis.advice.commands import advise
from analysis.commands.results import compare
from analysis.commands.results import table as table_command
from analysis.figures import draw
from analysis.report import quality
from analysis.runs import flaws
from analysis.runs.flaw import Flaw, Kind
from analysis.runs.frames import Runs
from analysis.sources import run_store, tidy
from analysis.sources.joining import join
from analysis.sources.metric_names import mapped
from qae import metrics
from qae.run_directory import JsonlWriter, RunDirectory
from tests.analysis.stores import step_line, write_run

Sample = Callable[[bool], Mapping[str, object]]


def write_dump(folder: Path, make: Sample, step: int = 10) -> None:
    """240 samples of 30 problems, a quarter of them right, as verl's writer has them (json with default=str)."""
    folder.mkdir(exist_ok=True)
    with (folder / f"{step}.jsonl").open("w", errors="surrogatepass") as file:
        for problem in range(30):
            for sample in range(8):
                right = (problem * 7 + sample * 3) % 4 == 0
                line = {
                    "input": f"problem {problem}",
                    "gts": str(problem),
                    "score": 1.0 if right else -1.0,
                    **make(right),
                }
                file.write(json.dumps(line, ensure_ascii=False, default=str) + "\n")


@pytest.mark.parametrize(
    "make",
    [
        lambda right: {"acc": float(right)},
        lambda right: {"acc": float(right), "pred": 3.0 if right else math.nan},
        lambda right: {"acc": np.bool_(right), "score": np.float32(1.0 if right else -0.7)},
        lambda right: {"acc": np.float32(right)},
        lambda right: {"acc": right, "step": "10"},
        lambda right: {"acc": str(right)},
        lambda right: {"acc": repr(np.float64(right))},
        lambda right: {"acc": 1.0} if right else {},
        lambda right: {"acc": 1.0 if right else math.nan},
        lambda right: {"acc": 1.0 if right else None},
        lambda right: {"score": 1.0 if right else math.nan},
        lambda right: {"score": "1.0" if right else "-1.0"},
        lambda right: {"acc": 1 if right else "False", "step": 10.0},
        lambda right: {"acc": right, "output": "\ud800", "uid": "same for all"},
    ],
)
def test_a_quarter_is_right_in_whatever_form_it_is_written(tmp_path: Path, make: Sample) -> None:
    write_dump(tmp_path / "dumps", make)
    (row,) = table.summarise(sources.load(tmp_path / "dumps")).rows
    assert row.pass_1 is not None
    assert row.pass_1.value == pytest.approx(0.25)
    assert row.samples == 8


def test_partial_credit_is_not_right_and_named_with_verls_mean(tmp_path: Path) -> None:
    write_dump(tmp_path / "dumps", lambda right: {"acc": 0.5 if right else 0.0})
    runs = sources.load(tmp_path / "dumps")
    assert int(runs.evaluations["c"].sum()) == 0
    (found,) = [flaw for flaw in runs.flaws if flaw.kind is Kind.SAMPLES]
    assert found.count == 60
    assert "0.125" in found.text


def test_samples_that_nothing_judges_and_unknown_problems_are_left_out_and_named(tmp_path: Path) -> None:
    for name, make in (
        ("percent", lambda right: {"acc": 100.0 * right}),
        ("graded", lambda _: {"score": 0.3}),
        ("promptless", lambda right: {"acc": right, "input": None}),
    ):
        write_dump(tmp_path / name, make)
        runs = sources.load(tmp_path / name)
        assert runs.evaluations.empty
        assert any("left out" in note for note in runs.notes), name


def test_one_data_set_that_says_nothing_does_not_take_the_others_with_it(tmp_path: Path) -> None:
    write_dump(tmp_path / "dumps", lambda right: {"acc": float(right), "data_source": "aime"})
    with (tmp_path / "dumps" / "10.jsonl").open("a") as file:
        file.write(json.dumps({"input": "q", "gts": "1", "score": 0.3, "data_source": "graded"}) + "\n")
    runs = sources.load(tmp_path / "dumps")
    assert set(runs.evaluations["data_set"]) == {"aime"}
    assert any("graded" in note for note in runs.notes)


def test_a_loggers_lines_keep_their_other_values(tmp_path: Path) -> None:
    lines = [
        {"step": "1", "data": {"actor/entropy": "0.5", "note": "text", "other": math.nan}},
        {"step": 2.0, "data": {"actor/entropy": math.nan, "other": 1.0}},
        {"step": 3, "data": {"actor/entropy": "n/a", "other": math.inf}},
        {"step": 3.5, "data": {"actor/entropy": 9.0}},
    ]
    path = tmp_path / "grpo.jsonl"
    path.write_text("\n".join(map(json.dumps, lines)))
    runs = sources.load(path)
    values = {(row.step, row.name): row.value for row in runs.metrics.itertuples()}
    assert values == {(1, "actor/entropy"): 0.5, (2, "other"): 1.0, (3, "other"): math.inf}
    found = {(flaw.kind, flaw.count) for flaw in flaws.of(runs)}
    assert {(Kind.VALUES, 2), (Kind.VALUES, 1), (Kind.STEPS, 1), (Kind.INFINITE, 1)} <= found
    assert not any("note" in flaw.text for flaw in flaws.of(runs))


@pytest.mark.parametrize(("value", "arm"), [("0.4", "K = 0.4"), ("4e-1", "K = 0.4"), ("-1", "mean"), (None, "mean")])
def test_k_as_text_is_k(tmp_path: Path, value: object, arm: str) -> None:
    write_run(tmp_path, "a", {"seed": 0})
    _set_k(tmp_path / "a", value)
    (record,) = run_store.load(tmp_path).records
    assert str(record.arm) == arm


@pytest.mark.parametrize("value", ["high", "''", ".nan", "true", "[0.2, 0.4]", "0,4"])
def test_k_that_is_no_number_is_no_mean_and_named(tmp_path: Path, value: str) -> None:
    for seed, run in enumerate(("a", "b")):
        write_run(tmp_path, run, {"seed": seed})
    _set_k(tmp_path / "b", value)
    runs = run_store.load(tmp_path)
    assert len(runs.arms) == 2
    (found,) = [flaw for flaw in flaws.of(runs) if flaw.kind is Kind.SETTINGS]
    assert found.run == "b"
    assert any(finding.kind is Kind.SETTINGS and "b (" in finding.where for finding in quality.check(runs))


def _set_k(folder: Path, value: object) -> None:
    path = folder / "config.yaml"
    quoted = {None: "null"}.get(value, f"'{value}'" if value in ("0.4", "4e-1", "-1") else value)  # type: ignore[call-overload]
    text = path.read_text()
    line = next(line for line in text.splitlines() if "quantile_k:" in line)
    path.write_text(text.replace(line, f"  quantile_k: {quoted}"))


def with_entropies(root: Path, run: str, k: float, seed: int, changed: Mapping[int, object]) -> RunDirectory:
    """A run of ten steps, some of whose entropies are other values."""
    directory = write_run(root, run, {"seed": seed, "algorithm.quantile_k": k}, steps=10, evaluate=(0, 10))
    directory.metrics.unlink()
    with JsonlWriter(directory.metrics) as file:
        for step in range(1, 11):
            line: dict[str, object] = dict(step_line(step, seed, k))
            if step in changed:
                line[metrics.ENTROPY.name] = changed[step]
            file.append(line)  # type: ignore[arg-type]  # what the run logged
    return directory


@pytest.fixture
def broken(tmp_path: Path) -> Path:
    """Two arms of two seeds; a run with an infinite entropy, one whose last ones are undefined in part."""
    with_entropies(tmp_path, "m0", -1, 0, {3: math.inf})
    with_entropies(tmp_path, "m1", -1, 1, {})
    with_entropies(tmp_path, "k0", 0.4, 0, {})
    with_entropies(tmp_path, "k1", 0.4, 1, {9: math.nan, 10: math.nan})
    (tmp_path / "sweeps").mkdir()
    runs = [{"id": run} for run in ("m0", "m1", "k0", "k1")]
    (tmp_path / "sweeps" / "s.json").write_text(json.dumps({"name": "s", "runs": runs}))
    return tmp_path


def test_a_table_hides_no_run_whose_number_is_infinite_or_undefined(broken: Path) -> None:
    results = table.summarise(run_store.load(broken))
    mean, k4 = results.rows
    assert mean.entropy_peak is not None
    assert mean.entropy_peak.value == math.inf
    assert mean.entropy_final is not None
    assert math.isfinite(mean.entropy_final.value)
    assert k4.entropy_final is not None
    assert (k4.seeds, k4.entropy_final.seeds) == (2, 1)
    assert "(1 of 2)" in table.markdown(results)


def test_a_difference_with_an_infinite_number_is_infinite_and_separates_nothing(broken: Path) -> None:
    runs = run_store.load(broken)
    measures = [comparison.ENTROPY_PEAK, comparison.ENTROPY_FINAL]
    peak, final = comparison.compare(runs, comparison.default_pairs(runs), measures)
    assert (peak.value, peak.low, peak.high, peak.seeds) == (-math.inf, -math.inf, math.inf, 2)
    assert not peak.is_separated
    assert peak.seeds_needed is None
    assert (final.seeds, math.isfinite(final.value)) == (1, True)


@pytest.mark.slow
def test_commands_say_it_on_standard_error_and_keep_their_output_clean(broken: Path) -> None:
    for command, form in ((table_command, "--json"), (compare, "--json"), (table_command, "--csv")):
        result = CliRunner().invoke(command, ["s", form, "--root", str(broken)], catch_exceptions=False)
        assert result.exit_code == 0, result.stderr
        assert "actor/entropy is infinite" in result.stderr
        assert "NaN" in result.stderr
        if form == "--json":
            assert "Infinity" in json.dumps(json.loads(result.stdout))
    refused = CliRunner().invoke(advise, ["s", "--root", str(broken)])
    assert refused.exit_code == 2
    assert "m0" in refused.stderr


@pytest.mark.slow
@pytest.mark.parametrize("name", ["entropy_and_pass", "entropy_by_sign", "advantage_shares"])
def test_figures_keep_their_scale_and_say_that_lines_break(broken: Path, name: str) -> None:
    figure = draw(name, run_store.load(broken), "a test")
    for axes in figure.axes:
        assert np.isfinite(axes.get_ylim()).all()
        for line in axes.get_lines():
            assert not np.isinf(np.asarray(line.get_ydata(), dtype=float)).any()
    assert "infinite or undefined" in " ".join(figure._supxlabel.get_text().split())  # type: ignore[attr-defined]


def test_findings_name_runs_and_steps(broken: Path) -> None:
    findings = quality.check(run_store.load(broken))
    found = {(finding.kind, finding.where.split()[0]): finding.text for finding in findings}
    assert "step 3" in found[Kind.INFINITE, "m0"]
    assert "9, 10" in found[Kind.VALUES, "k1"]


def test_different_runs_of_one_id_in_two_sources_are_named(tmp_path: Path) -> None:
    for root, k in (("one", 0.2), ("two", 0.4)):
        write_run(tmp_path / root, "same", {"algorithm.quantile_k": k})
    joined = join([run_store.load(tmp_path / root) for root in ("one", "two")])
    assert any("same" in note and "different runs" in note for note in joined.notes)


def test_a_rhythm_is_no_hole_and_a_far_step_costs_nothing(tmp_path: Path) -> None:
    path = tmp_path / "slow.jsonl"
    rows = [{"step": step, "data": {"actor/entropy": 0.5}} for step in range(10, 101, 10)]
    path.write_text("\n".join(map(json.dumps, rows)))
    assert not _missing(sources.load(path))
    path.write_text("\n".join(map(json.dumps, [*rows, {"step": 10**12, "data": {"actor/entropy": 0.5}}])))
    assert len(_missing(sources.load(path))) == 1


def _missing(runs: Runs) -> list[quality.Finding]:
    return [finding for finding in quality.check(runs) if finding.kind is Kind.MISSING_STEPS]


def test_a_sentence_on_several_runs_counts_all_of_them() -> None:
    found = [Flaw(Kind.STEPS, run, f"{count} lines were left out.", count) for run, count in (("a", 10), ("b", 6))]
    (sentence,) = flaws.summary(found)
    assert "2 runs (a, …): 16 in all" in sentence
    assert sentence.endswith("Run a, for one: 10 lines were left out.")


def test_names_out_of_a_mapping_are_ours_where_ours_are_not_logged_beside_them() -> None:
    rows = tidy.from_rows([1, 1, 1], ["actor.entropy", "response_length.mean", "optim.lr"], [0.5, 12.0, 1e-6])
    frame, _ = mapped(rows, {})
    assert dict(zip(frame["name"], frame["value"], strict=True)) == {
        metrics.ENTROPY.name: 0.5,
        metrics.LENGTH_MEAN.name: 12.0,
        "optim.lr": 1e-6,
    }
    both, _ = mapped(tidy.from_rows([1, 1], ["actor.entropy", metrics.ENTROPY.name], [0.5, 0.7]), {})
    assert dict(zip(both["name"], both["value"], strict=True)) == {"actor.entropy": 0.5, metrics.ENTROPY.name: 0.7}
