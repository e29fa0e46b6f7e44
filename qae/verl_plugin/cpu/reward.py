"""A reward for random weights: more digits than chance. It exercises the path; its numbers mean nothing."""

_THRESHOLD = 0.12  # a uniform choice of printable characters gives 10 digits in 96


def compute_score(
    data_source: str,  # verl's signature
    solution_str: str,
    ground_truth: str,
    extra_info: object = None,
    **_: object,
) -> dict[str, float | str]:
    """+1 where more than the share expected by chance of the response's characters are digits, else -1.

    The form is verl's math_dapo (verl/utils/reward_score/math_dapo.py): score, acc and pred.
    """
    share = sum(character.isdigit() for character in solution_str) / max(1, len(solution_str))
    right = share > _THRESHOLD
    return {"score": 1.0 if right else -1.0, "acc": float(right), "pred": solution_str[:16]}
