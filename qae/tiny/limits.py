"""Limits of the embedded transformer and of its task."""

from qae.embedded.limits import require
from qae.tiny.sections import Embedded, Task

_OPERATORS = 3  # of qae.tiny.task
_DIGITS = 36
_STEP = 4  # tokens of `a op b r`
_ANSWER_AND_VERDICT = 3


def check(tiny: Embedded, response_length: int) -> None:
    """Refuse values that no run can have; the response length is `data.max_response_length`.

    Raises:
        ConfigError: names the key, the value and the fix.
    """
    _check_numbers(tiny)
    _check_task(tiny)
    _check_form(tiny.task, response_length)
    examples, size = tiny.pretrain.examples, tiny.pretrain.batch_size
    require(size <= examples, "tiny.pretrain.batch_size", size, f"it must be at most tiny.pretrain.examples={examples}")
    width, heads = tiny.model.width, tiny.model.heads
    require(width % heads == 0, "tiny.model.heads", heads, f"it must divide tiny.model.width={width}")


def _check_numbers(tiny: Embedded) -> None:
    task = tiny.task
    for key, value in {
        "tiny.task.evaluation_problems": task.evaluation_problems,
        "tiny.task.markers": task.markers,
        "tiny.model.width": tiny.model.width,
        "tiny.model.layers": tiny.model.layers,
        "tiny.model.heads": tiny.model.heads,
        "tiny.pretrain.examples": tiny.pretrain.examples,
        "tiny.pretrain.steps": tiny.pretrain.steps,
        "tiny.pretrain.batch_size": tiny.pretrain.batch_size,
        "tiny.pretrain.lr": tiny.pretrain.lr,
    }.items():
        require(value > 0, key, value, "give a number above 0")
    for key, value in {
        "tiny.task.seed": task.seed,
        "tiny.pretrain.seed": tiny.pretrain.seed,
        "tiny.task.zipf_exponent": task.zipf_exponent,
        "tiny.task.style_tokens": task.style_tokens,
        "tiny.task.failure_tokens": task.failure_tokens,
    }.items():
        require(value >= 0, key, value, "give a number of at least 0")
    misconception = task.misconception
    require(0 <= misconception <= 1, "tiny.task.misconception", misconception, "give a probability between 0 and 1")
    for key, share in {
        "tiny.task.marker_repeat": task.marker_repeat,
        "tiny.task.redo_wrong": task.redo_wrong,
        "tiny.task.redo_right": task.redo_right,
    }.items():
        require(0 <= share < 1, key, share, "give a probability below 1: at 1 the teacher's solution has no end")


def _check_task(tiny: Embedded) -> None:
    task = tiny.task
    fix = f"give a whole number from 2 to {_DIGITS}"
    require(2 <= task.modulus <= _DIGITS, "tiny.task.modulus", task.modulus, fix)
    reliability = task.reliability
    fix = "give two numbers above 0"
    require(len(reliability) == 2 and min(reliability) > 0, "tiny.task.reliability", reliability, fix)
    for key, low_high in {
        "tiny.task.operations": task.operations,
        "tiny.task.pretrain_operations": task.pretrain_operations,
    }.items():
        fix = "give [fewest, most] operations"
        require(len(low_high) == 2 and 1 <= low_high[0] <= low_high[1], key, low_high, fix)
    fewest = task.operations[0]
    problems = task.modulus ** (fewest + 1) * _OPERATORS**fewest
    fix = f"there are {problems} problems with {fewest} operations, and training needs others; give fewer"
    require(task.evaluation_problems < problems, "tiny.task.evaluation_problems", task.evaluation_problems, fix)


def _check_form(task: Task, response_length: int) -> None:
    failure, style = "tiny.task.failure_tokens", "tiny.task.style_tokens"
    if not task.style_tokens:
        fix = f"only responses with a form go on after a wrong answer; give {style} above 0"
        require(task.failure_tokens == 0, failure, task.failure_tokens, fix)
        return
    operations = task.operations[0]
    same = [operations, operations]
    for key, low_high in {
        "tiny.task.operations": task.operations,
        "tiny.task.pretrain_operations": task.pretrain_operations,
    }.items():
        fix = f"with {style} all responses have one form; give {same}"
        require(low_high == same, key, low_high, fix)
    for key, share in {"tiny.task.redo_wrong": task.redo_wrong, "tiny.task.redo_right": task.redo_right}.items():
        require(share == 0, key, share, f"with {style} no step is done again; give 0")
    longest = operations * (task.style_tokens + _STEP) + _ANSWER_AND_VERDICT + task.failure_tokens
    fix = f"the longest response, with the verifier's word, has {longest} tokens; give {longest}"
    require(response_length == longest, "data.max_response_length", response_length, fix)
