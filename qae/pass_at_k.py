"""Unbiased pass@k from counts. No torch."""

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]


def pass_at_k(n: npt.ArrayLike, c: npt.ArrayLike, k: int) -> FloatArray:
    """Probability that at least one of k samples drawn without replacement from the n is right.

    1 - C(n-c, k) / C(n, k), Chen et al. 2021 (arXiv 2107.03374) eq. 1, as a product of factors in [0, 1], exact
    for all n that fit a float.

    Args:
        n: samples of each problem, integers, any shape.
        c: right ones among them, same shape.
        k: 1 <= k <= every n.

    Returns:
        one estimate per problem, float64, in the shape of n.

    Raises:
        ValueError: k < 1, k > n, c > n, c < 0, or one of them not a whole number; names the first problem.
    """
    n_, c_ = np.broadcast_arrays(_counts(n, "sample"), _counts(c, "right answer"))
    if k < 1 or k != int(k):
        raise ValueError(f"pass@{k} is not defined; k must be a whole number of at least 1")
    for wrong, what in ((c_ < 0, "has a negative count"), (c_ > n_, "has more right answers than samples")):
        if wrong.any():
            first = int(np.flatnonzero(wrong)[0])
            raise ValueError(f"problem {first} {what} (n={n_.flat[first]}, c={c_.flat[first]})")
    if (n_ < k).any():
        first = int(np.flatnonzero(n_ < k)[0])
        raise ValueError(f"pass@{k} needs at least {k} samples; problem {first} has {n_.flat[first]}")
    # C(n-c, k) / C(n, k) = prod_{i<k} (n-c-i) / (n-i)
    draws = np.arange(k)
    wrong_left = np.maximum((n_ - c_)[..., None] - draws, 0)
    failure: FloatArray = np.prod(wrong_left / (n_[..., None] - draws), axis=-1)
    return 1.0 - failure


def _counts(values: npt.ArrayLike, what: str) -> IntArray:
    """Whole numbers as int64; numpy alone would cut 2.7 to 2."""
    values_ = np.asarray(values)
    with np.errstate(invalid="ignore"):
        counts: IntArray = values_.astype(np.int64)
    if (counts != values_).any():
        first = int(np.flatnonzero(counts != values_)[0])
        raise ValueError(f"problem {first} has a {what} count of {values_.flat[first]}; give whole numbers")
    return counts
