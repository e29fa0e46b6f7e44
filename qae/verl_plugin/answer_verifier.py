"""The verifier of the paper's time: an answer counts after "Answer:" alone, as in verl up to 0.9.0.

Where a response has no "Answer:", verl 0.9.1 reads a box (verl/utils/reward_score/math_dapo.py, verify).
"""

from verl.utils.reward_score import default_compute_score
from verl.utils.reward_score.math_dapo import is_correct_minerva

# The sources that verl sends to math_dapo, and all that begin with `aime` (verl/utils/reward_score/__init__.py).
_SOURCES = ("math_dapo", "math", "math_dapo_reasoning")
_PREFIX = "aime"
_CHARACTERS_READ = 300  # at the end of a response; math_dapo.compute_score


def compute_score(
    data_source: str,
    solution_str: str,
    ground_truth: str,
    extra_info: object = None,
    **more: object,
) -> dict[str, float | bool | str] | float:
    """The score of a response, as verl asks for it (verl/trainer/ppo/reward.py, get_custom_reward_fn).

    Args:
        data_source: chooses the verifier; one that is not math_dapo's is verl's own.
        solution_str: the response.
        ground_truth: the answer.
        extra_info: for verl's other verifiers, as all that follows.
        **more: see `extra_info`.

    Returns:
        in the form of math_dapo: ``score`` (1 or -1), ``acc`` (whether it is right), ``pred`` (the answer found, or
        "[INVALID]"); other verifiers have forms of their own.
    """
    if data_source not in _SOURCES and not data_source.startswith(_PREFIX):
        scored: dict[str, float | bool | str] | float = default_compute_score(
            data_source, solution_str, ground_truth, extra_info, **more
        )
        return scored
    right, found = is_correct_minerva(solution_str[-_CHARACTERS_READ:], ground_truth)
    return {"score": 1.0 if right else -1.0, "acc": right, "pred": found}
