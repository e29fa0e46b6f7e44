"""Data sets: hub rows to verl's rows, the command end to end on files of the hub's form, verl's own reader."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import cast

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner, Result
from hypothesis import given
from hypothesis import strategies as st

from sweeps.cli import main
from sweeps.data import arithmetic
from sweeps.data import files as data_files
from sweeps.data.sets import (
    COLUMNS,
    DAPO,
    DAPO_TEMPLATE,
    EVALUATION_SETS,
    HUB_SETS,
    DataError,
    Problem,
    clean_answer,
    extract,
    to_table,
    without_evaluation,
)
from tests import ROOT


def verl_row(problem: str, answer: str | None) -> dict[str, object]:
    """A row as in the files of DAPO and AIME 2024 on the hub."""
    return {
        "data_source": "math_dapo",
        "prompt": [{"content": DAPO_TEMPLATE.fill(problem), "role": "user"}],
        "ability": "MATH",
        "reward_model": {"ground_truth": answer, "style": "rule-lighteval/MATH_v2"},
        "extra_info": {"index": "9a9b6eb4-a1cb-49d1-8c1e-62eaf2f74079"},
    }


def test_repeats_markup_and_malformed_rows_leave_one_problem_each() -> None:
    rows: list[dict[str, object]] = [
        verl_row("What is 1 + 1?", "2"),
        verl_row("What is  1 + 1?\n", "2"),
        verl_row("What is 2 + 2?", "4"),
        verl_row("What is 2 + 2?", "5"),
        verl_row("", "3"),
        verl_row("No answer?", None),
        {"problem": "Plain?", "answer": 7},
        {"question": "Other name?", "answer": "27.0", "url": "…"},
        {"something": "else"},
        {"prompt": "a text, no messages", "reward_model": {"ground_truth": "1"}},
    ]
    found = extract(rows)
    assert [(problem.text, problem.answer) for problem in found.problems] == [
        ("What is 1 + 1?", "2"),
        ("What is 2 + 2?", "4"),
        ("Plain?", "7"),
        ("Other name?", "27"),
    ]
    assert (found.rows, found.repeats, found.malformed) == (10, 2, 4)
    assert found.contradictory == (found.problems[1].id,)


def test_ids_are_stable_and_do_not_depend_on_spacing_or_unicode_form() -> None:
    assert Problem("Find $x$.", "1").id == "f89efc4522efe8ee"
    assert Problem(" Find\n $x$. ", "2").id == Problem("Find $x$.", "1").id
    assert Problem("café", "1").id == Problem("cafe\N{COMBINING ACUTE ACCENT}", "1").id
    assert Problem("Find $x + 1$.", "1").id != Problem("Find $x - 1$.", "1").id


@pytest.mark.parametrize(
    ("given", "cleaned"),
    [
        (27.0, "27"),
        ("027", "27"),
        ("0", "0"),
        ("-0", "0"),
        ("-12.00", "-12"),
        (r"336^\circ", "336"),
        (r"$\frac{1}{2}$", r"\frac{1}{2}"),
        (0.5, "0.5"),
        (None, ""),
        (True, ""),
        ("  ", ""),
    ],
)
def test_answers_are_written_as_the_verifier_compares_them(given: object, cleaned: str) -> None:
    assert clean_answer(given) == cleaned


@given(st.integers(), st.integers(0, 3))
def test_a_whole_number_is_its_shortest_form_however_it_is_written(number: int, zeros: int) -> None:
    written = f"{'-' if number < 0 else ''}{'0' * zeros}{abs(number)}"
    assert clean_answer(written) == clean_answer(f"{written}.0") == clean_answer(number) == str(number)


def test_training_problems_of_an_evaluation_set_are_left_out_whatever_their_markup() -> None:
    train = [Problem("Let $x=3$. Find x.", "3"), Problem("Let y = 3. Find y.", "3")]
    kept, overlap = without_evaluation(train, {"aime24": [Problem(r"Let \(x = 3\). Find x.", "3")]})
    assert kept == (train[1],)
    assert overlap == {train[0].id: "aime24"}


def test_every_set_has_the_same_schema_and_a_source_of_its_own() -> None:
    tables = [to_table(one, [Problem("p", "1")]) for one in (*HUB_SETS, arithmetic.TRAIN, arithmetic.VALIDATION)]
    assert {table.schema for table in tables} == {tables[0].schema}
    assert tuple(tables[0].column_names) == COLUMNS
    evaluation = [one.data_source for one in (*EVALUATION_SETS, arithmetic.VALIDATION)]
    assert len(set(evaluation)) == len(evaluation)


@pytest.mark.slow
@given(st.integers(1, 300))
def test_arithmetic_is_right_disjoint_and_grows_without_changing(count: int) -> None:
    sets = arithmetic.generate(count)
    train, validation = sets[arithmetic.TRAIN], sets[arithmetic.VALIDATION]
    assert len({problem.id for problem in (*train, *validation)}) == count + 64
    assert train == arithmetic.generate(300)[arithmetic.TRAIN][:count]
    for problem in train[-5:]:
        assert problem.answer == str(solve(problem.text))


def solve(text: str) -> int:
    """The answer by reading the words, as a check on how the set is made."""
    start, modulus = re.match(r"Start with (\d+)", text), re.search(r"modulo (\d+)", text)
    assert start is not None
    assert modulus is not None
    value = int(start[1])
    for operation, operand in re.findall(r"(add|subtract|multiply by) (\d+)", text):
        sign = {"add": "+", "subtract": "-", "multiply by": "*"}[operation]
        value = eval(f"({value}) {sign} {operand}")  # noqa: S307  # of numbers matched above
    return value % int(modulus[1])


def prepare(*arguments: object) -> Result:
    return CliRunner().invoke(main, ["data", "prepare", *map(str, arguments)])


def write(path: Path, rows: Sequence[Mapping[str, object]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".jsonl":
        path.write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    else:
        pq.write_table(pa.Table.from_pylist(list(rows)), path)


def evaluation_files(folder: Path) -> None:
    aime24 = [verl_row(f"AIME 2024 asks: ${i}$?", f"{i:03}") for i in range(30)]
    write(folder / "AIME-2024" / "data" / "aime-2024.parquet", aime24 * 32)
    aime25 = [{"problem": f"AIME 2025 asks: {i}?", "answer": str(i), "id": str(i)} for i in range(30)]
    write(folder / "aime25" / "test.jsonl", aime25)
    amc23 = [{"id": i, "question": f"AMC asks: {i}?", "answer": f"{i}.0", "url": "…"} for i in range(40)]
    write(folder / "amc23.parquet", amc23)


@pytest.fixture(scope="module")
def downloads(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder as downloads from the hub leave it: folders of repositories, and single files."""
    folder = tmp_path_factory.mktemp("downloads")
    evaluation_files(folder)
    train = [verl_row(f"Training problem {i}", str(i)) for i in range(17_000)]
    stolen = verl_row("AIME 2024 asks:  7 ?", "7")
    write(folder / "DAPO-Math-17k" / "data" / "dapo-math-17k.parquet", [*train[:500], stolen, *train, *train[:500]])
    (folder / "DAPO-Math-17k" / "README.md").write_text("the hub's card")
    return folder


@pytest.mark.slow
def test_downloads_become_the_papers_sets(downloads: Path, tmp_path: Path) -> None:
    done = prepare("--source", downloads, "--out", tmp_path / "data")
    assert done.exit_code == 0, done.output
    tables = {path.stem: pq.read_table(path) for path in sorted((tmp_path / "data").glob("*.parquet"))}
    assert {name: len(table) for name, table in tables.items()} == {
        "aime24": 30,
        "aime25": 30,
        "amc23": 40,
        "dapo-math-17k": 17_000,
    }
    first = tables["amc23"].to_pylist()[7]
    assert first["data_source"].startswith("aime")  # what verl sends to math_dapo
    assert first["prompt"] == [{"role": "user", "content": DAPO_TEMPLATE.fill("AMC asks: 7?")}]
    assert first["reward_model"]["ground_truth"] == "7"
    assert first["extra_info"] == {"index": 7, "split": "test", "problem_id": Problem("AMC asks: 7?", "7").id}
    record = data_files.read_manifest(tmp_path / "data")["dapo-math-17k.parquet"]
    assert (record.source_rows, record.repeats, record.problems) == (18_001, 1_000, 17_000)
    assert record.in_evaluation == {Problem("AIME 2024 asks:  7 ?", "7").id: "aime24"}
    assert "1 left out because an evaluation set asks them" in done.output


def test_intact_files_stay_and_damaged_or_unknown_ones_do_not_pass(downloads: Path, tmp_path: Path) -> None:
    arguments = ("aime24", "--source", downloads, "--out", tmp_path)
    assert prepare(*arguments).exit_code == 0
    path = tmp_path / "aime24.parquet"
    content, written = path.read_bytes(), path.stat().st_mtime_ns

    again = prepare(*arguments)
    assert "there and intact" in again.output
    assert path.stat().st_mtime_ns == written

    path.write_bytes(content[:-100])
    assert prepare(*arguments).exit_code == 0
    assert path.read_bytes() == content

    assert prepare(*arguments, "--force").exit_code == 0
    assert path.read_bytes() == content  # the same rows make the same bytes
    assert path.stat().st_mtime_ns != written

    (tmp_path / data_files.MANIFEST).unlink()
    refused = prepare(*arguments)
    assert refused.exit_code == 2
    assert "was not written by `qae data prepare`" in refused.output


@pytest.mark.slow
def test_fewer_training_problems_on_request(downloads: Path, tmp_path: Path) -> None:
    assert prepare("dapo-math-17k", "--train-problems", 50, "--source", downloads, "--out", tmp_path).exit_code == 0
    assert pq.read_metadata(tmp_path / DAPO.file_name).num_rows == 50
    assert pq.read_metadata(tmp_path / "aime24.parquet").num_rows == 30
    assert prepare("arithmetic", "--train-problems", 10, "--out", tmp_path).exit_code == 0
    assert prepare("arithmetic", "--train-problems", 20, "--out", tmp_path).exit_code == 0
    assert pq.read_metadata(tmp_path / "arithmetic-train.parquet").num_rows == 20


def test_a_source_with_other_problems_is_refused_and_nothing_is_written(tmp_path: Path) -> None:
    write(tmp_path / "in" / "aime25.jsonl", [{"problem": f"{i}?", "answer": i} for i in range(29)])
    (tmp_path / "in" / "aime24.parquet").write_bytes(b"no parquet file")
    done = prepare("aime24", "aime25", "--source", tmp_path / "in", "--out", tmp_path / "out")
    assert done.exit_code == 2
    assert "aime25 should have 30 problems, its source has 29" in done.output
    assert "aime24.parquet cannot be read" in done.output
    assert not (tmp_path / "out").exists()


def test_broken_lines_count_as_malformed(tmp_path: Path) -> None:
    good = "".join(json.dumps({"problem": f"{i}?", "answer": i}) + "\n" for i in range(30))
    (tmp_path / "aime25.jsonl").write_text(f"{good}{{torn\n\n[1]\n")
    assert prepare("aime25", "--source", tmp_path, "--out", tmp_path / "out").exit_code == 0
    assert data_files.read_manifest(tmp_path / "out")["aime25.parquet"].malformed == 2


def test_a_folder_without_the_set_says_how_to_get_it(tmp_path: Path) -> None:
    done = prepare("dapo-math-17k", "--source", tmp_path, "--out", tmp_path / "out")
    assert done.exit_code == 2
    for one in HUB_SETS:
        assert f"hf download {one.repository}" in done.output
    assert "was not written, because" not in done.output  # one line a missing set


@pytest.mark.slow
@pytest.mark.parametrize(("arguments", "said"), [(["--offline"], "hub's cache"), ([], "cannot be had from the hub")])
def test_without_network_a_sentence_says_what_is_missing(arguments: list[str], said: str, tmp_path: Path) -> None:
    environment = {"HF_HOME": str(tmp_path / "hub"), "HF_ENDPOINT": "http://127.0.0.1:9"}
    done = subprocess.run(
        [sys.executable, "-m", "sweeps.cli", "data", "prepare", "amc23", *arguments, "--out", str(tmp_path / "out")],
        capture_output=True,
        text=True,
        cwd=ROOT,
        env={**os.environ, **environment},
        check=False,
    )
    assert done.returncode == 2
    assert said in done.stderr
    assert "hf download math-ai/amc23 --repo-type dataset" in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
    assert not (tmp_path / "out").exists()


@pytest.mark.slow
def test_the_hubs_cache_is_read_offline_with_its_commit(tmp_path: Path) -> None:
    """A cache as the hub's client lays it out."""
    cache = tmp_path / "hub" / "hub" / "datasets--math-ai--aime25"
    commit = "7510e41000000000000000000000000000000000"
    write(cache / "snapshots" / commit / "test.jsonl", [{"problem": f"{i}?", "answer": str(i)} for i in range(30)])
    (cache / "refs").mkdir()
    (cache / "refs" / "main").write_text(commit)
    subprocess.run(
        [sys.executable, "-m", "sweeps.cli", "data", "prepare", "aime25", "--offline", "--out", str(tmp_path / "out")],
        cwd=ROOT,
        env={**os.environ, "HF_HOME": str(tmp_path / "hub")},
        check=True,
    )
    assert data_files.read_manifest(tmp_path / "out")["aime25.parquet"].revision == commit


def test_a_manifest_that_is_none_is_named(tmp_path: Path) -> None:
    (tmp_path / data_files.MANIFEST).write_text("[]")
    with pytest.raises(DataError, match=re.escape("data.json is no manifest")):
        data_files.read_manifest(tmp_path)


@pytest.mark.slow
def test_verl_reads_the_files_and_its_verifier_takes_the_answers(tmp_path: Path) -> None:
    """In a process of its own, as verl takes its time and sets up logging."""
    assert prepare("arithmetic", "--train-problems", 40, "--out", tmp_path).exit_code == 0
    done = subprocess.run(
        [sys.executable, "-c", _WITH_VERL, str(tmp_path), json.dumps([one.data_source for one in HUB_SETS])],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    said = cast("dict[str, object]", json.loads(done.stdout.splitlines()[-1]))
    assert said == {"rows": 40 + 64, "right": [1.0], "wrong": [-1.0], "by_source": 4 * [True]}


_WITH_VERL = """
import json, sys
from pathlib import Path
from omegaconf import OmegaConf
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast
from verl.utils.dataset.rl_dataset import RLHFDataset
from verl.utils.reward_score import default_compute_score

folder = Path(sys.argv[1])
tokenizer = Tokenizer(models.WordLevel({"[UNK]": 0}, unk_token="[UNK]"))
tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
fast = PreTrainedTokenizerFast(tokenizer_object=tokenizer, unk_token="[UNK]", pad_token="[UNK]")
fast.chat_template = "{% for message in messages %}{{ message['content'] }}{% endfor %}"
config = OmegaConf.create({"max_prompt_length": 64, "filter_overlong_prompts": True, "truncation": "error"})
config.cache_dir = str(folder / "cache")
files = [str(path) for path in sorted(folder.glob("*.parquet"))]
data = RLHFDataset(data_files=files, tokenizer=fast, config=config)
right, wrong = set(), set()
for row in data.dataframe:
    truth = row["reward_model"]["ground_truth"]
    judge = lambda answer: default_compute_score(row["data_source"], answer, truth, row["extra_info"])["score"]
    right.add(judge(f"First this, then that.\\nAnswer: {truth}"))
    wrong.add(judge(f"Answer: {int(truth) + 1}"))
by_source = [default_compute_score(one, "so\\nAnswer: 42", "42")["acc"] for one in json.loads(sys.argv[2])]
print(json.dumps({"rows": len(data), "right": list(right), "wrong": list(wrong), "by_source": by_source}))
"""
