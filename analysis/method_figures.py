"""The method in pictures: formulas alone, no runs. Each function makes one figure for any K and group size."""

from typing import Any

import numpy as np
import numpy.typing as npt
from matplotlib.figure import Figure
from scipy.stats import binom

from analysis.figures import style
from qae import theory

FloatArray = npt.NDArray[np.float64]
_POINTS = 401


def baselines(k: float, group: int) -> dict[str, FloatArray]:
    """Baseline of a group of 0/1 rewards for each number of right responses.

    Args:
        k: of the quantile.
        group: responses a prompt.

    Returns:
        by name (inverse_cdf, the paper's; linear, torch.quantile's; mean): float (group + 1,).
    """
    right = np.arange(group + 1)
    return {
        "inverse_cdf": np.where(theory.is_hard(right / group, k), 0.0, 1.0),
        "linear": np.array([np.quantile(np.repeat([0.0, 1.0], [group - s, s]), k) for s in right]),
        "mean": right / group,
    }


def differing_counts(k: float, group: int) -> list[int]:
    """Numbers of right responses at which both definitions of the quantile differ: one, or none."""
    of = baselines(k, group)
    return [int(s) for s in np.flatnonzero(~np.isclose(of["inverse_cdf"], of["linear"]))]


def expected_zero_share(p: npt.ArrayLike, k: float, group: int, definition: str = "inverse_cdf") -> FloatArray:
    """Share of zero advantages over the groups of a prompt that dynamic sampling keeps.

    Args:
        p: chance of a right response, strictly between 0 and 1, any shape (N,).
        k: of the quantile.
        group: responses a prompt, at least 2.
        definition: a key of `baselines`.

    Returns:
        float (N,): the mean over s ~ Binomial(group, p), 0 < s < group, of the share at its baseline.
    """
    right = np.arange(1, group)
    baseline = baselines(k, group)[definition][1:group]
    share = np.where(np.isclose(baseline, 0), 1 - right / group, np.where(np.isclose(baseline, 1), right / group, 0.0))
    weight = np.asarray(binom.pmf(right[None, :], group, np.asarray(p, dtype=np.float64)[:, None]))
    return np.asarray((weight * share).sum(axis=1) / weight.sum(axis=1))


def definitions(k: float, group: int) -> Figure:
    """Baselines over the number of right responses, and what advantage right and wrong ones get."""
    of = baselines(k, group)
    right = np.arange(group + 1)
    differing = differing_counts(k, group)
    with style.house():
        figure, [axes] = style.new_figure(1, 2, width=10, height=4)
        looks: dict[str, dict[str, Any]] = {
            "inverse_cdf": {"color": style.POSITIVE, "marker": "o", "linestyle": "-"},
            "linear": {"color": style.NEGATIVE, "marker": "s", "linestyle": "--"},
            "mean": {"color": style.ALL, "linestyle": ":"},
        }
        inner = right[1:group]
        spread = np.sqrt(inner / group * (1 - inner / group) * group / (group - 1))
        for name, look in looks.items():
            axes[0].plot(right, of[name], label=name, **look)
            axes[1].plot(inner, (1 - of[name][1:group]) / spread, **look)
            axes[1].plot(inner, -of[name][1:group] / spread, **look)
        for panel in axes:
            panel.set_xlabel(f"Right responses of {group}")
            for count in differing:
                panel.axvspan(count - 0.5, count + 0.5, color=style.ZERO, alpha=0.4, linewidth=0)
        where = f"the definitions differ at {differing[0]} of {group}" if differing else "the definitions agree"
        axes[0].set(title=f"K = {k:g}: {where}", ylabel="Baseline")
        axes[1].set(title="Advantage of right (above 0) and wrong (below)", ylabel="Advantage")
        style.add_legend(figure, dict(zip(looks, axes[0].get_lines(), strict=True)))
    return figure


def weights(k: float) -> Figure:
    """What a prompt's right and wrong responses weigh in the update (the paper's Figs. 4b and 4c)."""
    p = np.linspace(0.002, 0.998, _POINTS)
    with style.house():
        figure, [axes] = style.new_figure(1, 2, width=10, height=3.8)
        panels = (
            ("right responses", theory.quantile_positive_weight(p, k), style.POSITIVE),
            ("wrong responses", theory.quantile_negative_weight(p, k), style.NEGATIVE),
        )
        for panel, (name, weight, colour) in zip(axes, panels, strict=True):
            panel.plot(p, weight, color=colour, label=f"K = {k:g}")
            panel.plot(p, theory.grpo_weight(p), color=style.ALL, linestyle=":", label="mean")
            panel.set(title=f"Weight of {name}", xlabel="Success rate p of the prompt", ylabel="Weight")
            panel.set_ylim(bottom=0)
            panel.legend(frameon=False)
    return figure


def sparsity(k: float, group: int) -> Figure:
    """Share of zero advantages over p: for p known, and for groups of this size that dynamic sampling keeps."""
    p = np.linspace(0.002, 0.998, _POINTS)
    with style.house():
        figure, [[panel]] = style.new_figure(1, 1, width=7, height=4)
        panel.plot(p, theory.zero_advantage_share(p, k), color=style.ZERO_LINE, linestyle=":", label="p known")
        panel.plot(p, expected_zero_share(p, k, group), color=style.POSITIVE, label=f"G = {group}, inverse_cdf")
        linear = expected_zero_share(p, k, group, "linear")
        panel.plot(p, linear, color=style.NEGATIVE, linestyle="--", label=f"G = {group}, linear")
        panel.set(xlabel="Success rate p of the prompt", ylabel="Share of zero advantages", ylim=(0, 1))
        panel.legend(frameon=False)
    return figure


def entropy_against_baseline() -> Figure:
    """First-order change of entropy against the baseline b, on a hard and an easy prompt (Prop. 4.2)."""
    policy = np.array([0.34, 0.22, 0.16, 0.11, 0.08, 0.05, 0.03, 0.01])
    b = np.linspace(0, 1, 41)
    prompts = {
        "hard (p = .16)": np.array([0.0, 0, 1, 0, 0, 0, 0, 0]),
        "easy (p = .84)": np.array([1.0, 1, 0, 1, 1, 1, 1, 1]),
    }
    with style.house():
        figure, [[panel]] = style.new_figure(1, 1, width=7, height=4)
        for (name, reward), colour in zip(prompts.items(), (style.POSITIVE, style.NEGATIVE), strict=True):
            change = [theory.entropy_change(policy, reward, float(value)) for value in b]
            panel.plot(b, change, color=colour, label=name)
            chosen = 0 if name.startswith("hard") else -1
            panel.plot([b[chosen]], [change[chosen]], "o", color=colour)
        panel.axhline(0, color=style.ZERO_LINE, linewidth=0.8)
        panel.set(xlabel="Baseline b (dots: the quantile's)", ylabel="Change of entropy / step size (nats)")
        panel.legend(frameon=False)
    return figure
