"""The data sets of the paper in verl's form: what they are and how a hub's rows become them; no input or output.

A problem is written once: how often it is sampled is `rollout.n` and `rollout.val_kwargs.n`, whereas the hub's files
repeat it (DAPO-Math-17k about 100 times, AIME 2024 32 times).
"""

import hashlib
import re
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pyarrow as pa

COLUMNS = ("data_source", "prompt", "ability", "reward_model", "extra_info")

_ID_LENGTH = 16
_NUMBER = re.compile(r"([+-]?)0*(\d+)(?:\.0*)?")


class DataError(RuntimeError):
    """A data set that cannot be prepared; its text is one sentence for the user."""


class Split(StrEnum):
    """What a data set is for."""

    TRAIN = "train"
    EVALUATION = "test"


@dataclass(frozen=True)
class Template:
    """What stands before and after the problem in a prompt."""

    before: str
    after: str

    def fill(self, problem: str) -> str:
        """The prompt of a problem."""
        return f"{self.before}{problem}{self.after}"

    def strip(self, prompt: str) -> str:
        """The problem of a prompt; a prompt without the template is the problem itself."""
        return prompt.removeprefix(self.before).removesuffix(self.after).strip()


# As in the files of DAPO (BytedTsinghua-SIA/DAPO-Math-17k), so evaluation asks in the words of training.
DAPO_TEMPLATE = Template(
    "Solve the following math problem step by step. The last line of your response should be of the form "
    "Answer: $Answer (without quotes) where $Answer is the answer to the problem.\n\n",
    '\n\nRemember to put your answer on its own line after "Answer:".',
)


@dataclass(frozen=True)
class DataSet:
    """A file that training or evaluation reads.

    Attributes:
        name: stem of its file.
        data_source: verl chooses the verifier by it and names its validation metrics after it. `math_dapo` and
            whatever begins with `aime` goes to the math_dapo verifier (verl/utils/reward_score/__init__.py).
        split: what it is for.
        template: the prompt around a problem.
        problems: fewest and most unique problems that it can have.
        repository: the hub's name of its source; None for a generated set.
    """

    name: str
    data_source: str
    split: Split
    template: Template
    problems: tuple[int, int]
    repository: str | None = None

    @property
    def file_name(self) -> str:
        """Name of the file."""
        return f"{self.name}.parquet"


# verl sends no name that begins with `amc` to a verifier, hence the prefix; names for people go without it.
ROUTING_PREFIX = "aime_"
# 1,791,700 rows with 17,917 ids; without repeated texts open-r1/DAPO-Math-17k-Processed counts 17,398.
DAPO = DataSet(
    "dapo-math-17k", "math_dapo", Split.TRAIN, DAPO_TEMPLATE, (17_000, 17_917), "BytedTsinghua-SIA/DAPO-Math-17k"
)
EVALUATION_SETS = (
    DataSet("aime24", "aime24", Split.EVALUATION, DAPO_TEMPLATE, (30, 30), "BytedTsinghua-SIA/AIME-2024"),
    DataSet("aime25", "aime25", Split.EVALUATION, DAPO_TEMPLATE, (30, 30), "math-ai/aime25"),
    DataSet("amc23", f"{ROUTING_PREFIX}amc23", Split.EVALUATION, DAPO_TEMPLATE, (40, 40), "math-ai/amc23"),
)
HUB_SETS = (*EVALUATION_SETS, DAPO)


@dataclass(frozen=True)
class Problem:
    """A question and the answer that the verifier compares with."""

    text: str
    answer: str

    @property
    def id(self) -> str:
        """First 16 hex digits of sha256 over the text, whatever its white space and Unicode form."""
        return hashlib.sha256(_normalised(self.text).encode()).hexdigest()[:_ID_LENGTH]


@dataclass(frozen=True)
class Extract:
    """Unique problems of a source, and what was left out.

    Attributes:
        problems: in the order of their first row.
        rows: rows read.
        repeats: rows of a problem that was there already.
        malformed: rows without a problem or an answer.
        contradictory: ids of problems that come with several answers; the first one is kept.
    """

    problems: tuple[Problem, ...]
    rows: int
    repeats: int
    malformed: int
    contradictory: tuple[str, ...]


def extract(rows: Iterable[Mapping[str, object]], template: Template = DAPO_TEMPLATE) -> Extract:
    """The unique problems of rows in verl's form (`prompt`, `reward_model`) or plain ones (`problem`, `answer`).

    Args:
        rows: as the hub's files have them, read once.
        template: taken off prompts that have it.
    """
    kept: dict[str, Problem] = {}
    seen: set[Problem] = set()
    contradictory: dict[str, None] = {}
    count = malformed = 0
    for row in rows:
        count += 1
        problem = _problem(row, template)
        if problem is None:
            malformed += 1
        elif problem not in seen:  # a hundred equal rows are normalised and hashed once
            seen.add(problem)
            first = kept.setdefault(problem.id, problem)
            if first.answer != problem.answer:
                contradictory[problem.id] = None
    return Extract(tuple(kept.values()), count, count - malformed - len(kept), malformed, tuple(contradictory))


def clean_answer(value: object) -> str:
    r"""An answer as math_dapo compares it: a whole number in its shortest form, without `$` and `^\circ`.

    Files write 27 as a number, as "27.0" or as "027"; the verifier compares strings.
    """
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        return ""
    text = re.sub(r"\^\{?\\circ\}?", "", str(value)).strip().strip("$").strip()
    number = _NUMBER.fullmatch(text)
    if number is None:
        return text
    sign = "-" if number[1] == "-" and number[2] != "0" else ""
    return sign + number[2]


def without_evaluation(
    problems: Sequence[Problem], evaluation: Mapping[str, Sequence[Problem]]
) -> tuple[tuple[Problem, ...], dict[str, str]]:
    """Training problems that no evaluation set asks.

    Texts are compared by their letters and digits only, so that markup and spacing do not hide a copy; reworded
    problems are not found.

    Args:
        problems: for training.
        evaluation: by name of the set.

    Returns:
        the problems to train on, and for the id of each one left out the evaluation set that has it.
    """
    asked = {_letters(problem.text): name for name, questions in evaluation.items() for problem in questions}
    found = {problem.id: asked[key] for problem in problems if (key := _letters(problem.text)) in asked}
    return tuple(problem for problem in problems if problem.id not in found), found


def check_count(data_set: DataSet, found: Extract) -> None:
    """Refuse a source that does not have the problems of the data set.

    Raises:
        DataError: names what was found and what should be there.
    """
    fewest, most = data_set.problems
    if not fewest <= len(found.problems) <= most:
        expected = f"{fewest:,}" if fewest == most else f"{fewest:,} to {most:,}"
        raise DataError(
            f"{data_set.name} should have {expected} problems, its source has {len(found.problems):,} "
            f"({found.rows:,} rows, {found.malformed:,} of them without a problem or an answer); "
            f"check that the files are those of {data_set.repository}"
        )


def to_table(data_set: DataSet, problems: Sequence[Problem]) -> "pa.Table":
    """The rows that verl's RLHFDataset reads, one a problem, in the same schema for every set (verl joins files)."""
    import pyarrow as pa

    schema = pa.schema(
        {
            "data_source": pa.string(),
            "prompt": pa.list_(pa.struct({"role": pa.string(), "content": pa.string()})),
            "ability": pa.string(),
            "reward_model": pa.struct({"style": pa.string(), "ground_truth": pa.string()}),
            "extra_info": pa.struct({"index": pa.int64(), "split": pa.string(), "problem_id": pa.string()}),
        }
    )
    rows = [
        {
            "data_source": data_set.data_source,
            "prompt": [{"role": "user", "content": data_set.template.fill(problem.text)}],
            "ability": "MATH",
            "reward_model": {"style": "rule", "ground_truth": problem.answer},
            "extra_info": {"index": index, "split": data_set.split.value, "problem_id": problem.id},
        }
        for index, problem in enumerate(problems)
    ]
    return pa.Table.from_pylist(rows, schema=schema)


def _problem(row: Mapping[str, object], template: Template) -> Problem | None:
    reward = row.get("reward_model")
    prompt = row.get("prompt")
    if isinstance(reward, Mapping) and isinstance(prompt, Sequence) and not isinstance(prompt, str):
        text = " ".join(str(message.get("content") or "") for message in prompt if isinstance(message, Mapping))
        answer = clean_answer(reward.get("ground_truth"))
    else:
        text = str(row.get("problem") or row.get("question") or "")
        answer = clean_answer(row.get("answer"))
    text = template.strip(text.strip())
    return Problem(text, answer) if text and answer else None


def _normalised(text: str) -> str:
    return " ".join(unicodedata.normalize("NFKC", text).split())


def _letters(text: str) -> str:
    return "".join(letter for letter in unicodedata.normalize("NFKC", text).casefold() if letter.isalnum())
