"""A generated data set in verl's form, where there is no network: small sums and products in words."""

import random

from sweeps.data.sets import ROUTING_PREFIX, DataError, DataSet, Problem, Split, Template

# Short, so that a model with a handful of layers reads it in no time on a CPU.
_TEMPLATE = Template("", ' End with "Answer:" and the number.')
_VALIDATION_PROBLEMS = 64
DEFAULT_TRAIN_PROBLEMS = 1024
MOST_TRAIN_PROBLEMS = 100_000  # of more than 600,000 that there are, so drawing new ones stays quick
TRAIN = DataSet("arithmetic-train", "math_dapo", Split.TRAIN, _TEMPLATE, (1, MOST_TRAIN_PROBLEMS))
VALIDATION = DataSet(
    "arithmetic-val",
    f"{ROUTING_PREFIX}arithmetic",
    Split.EVALUATION,
    _TEMPLATE,
    (_VALIDATION_PROBLEMS, _VALIDATION_PROBLEMS),
)

_SEED = 1234
_OPERATIONS = ("add", "subtract", "multiply by")


def generate(train_problems: int = DEFAULT_TRAIN_PROBLEMS) -> dict[DataSet, tuple[Problem, ...]]:
    """The training and the validation set, with no problem in both; the same ones every time.

    Args:
        train_problems: how many to train on; a smaller number gives the first ones of a larger one.

    Raises:
        DataError: a number that cannot be had.
    """
    if not 1 <= train_problems <= MOST_TRAIN_PROBLEMS:
        raise DataError(
            f"--train-problems={train_problems} cannot be used: the arithmetic set has 1 to {MOST_TRAIN_PROBLEMS:,}"
        )
    generator = random.Random(_SEED)
    problems: dict[str, Problem] = {}
    while len(problems) < _VALIDATION_PROBLEMS + train_problems:
        problem = _draw(generator)
        problems.setdefault(problem.text, problem)
    drawn = tuple(problems.values())
    return {TRAIN: drawn[_VALIDATION_PROBLEMS:], VALIDATION: drawn[:_VALIDATION_PROBLEMS]}


def _draw(generator: random.Random) -> Problem:
    value = start = generator.randint(1, 9)
    steps = []
    for _ in range(generator.choice((2, 3))):
        operation, operand = generator.choice(_OPERATIONS), generator.randint(2, 9)
        steps.append(f"{operation} {operand}")
        value = {"add": value + operand, "subtract": value - operand, "multiply by": value * operand}[operation]
    modulus = generator.randint(5, 9)
    text = f"Start with {start}, {', '.join(steps)}. What is the remainder modulo {modulus}?"
    return Problem(text, str(value % modulus))
