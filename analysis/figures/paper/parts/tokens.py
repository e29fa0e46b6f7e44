"""What Figs. 3 and 8 show: the most frequent tokens at positions of high entropy, early, later and late in training."""

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from analysis import published, statistics
from analysis.figures import style
from analysis.figures.paper.parts import tidy
from analysis.runs.frames import ArmName, Runs
from analysis.sources.token_lines import high_entropy_tokens
from qae.console.text import brief
from qae.tokens.marker_words import MARKER_WORDS

CAPTION = (
    "Share of each token among the fifth of response positions with the highest entropy in a training batch: mean over "
    "seeds, line: 95 % Student-t interval; cut below 0.001; logarithmic, because few tokens have most positions here. "
    "Steps at the same shares of training as the paper's 20, 80 and 200 of 300."
)
_SHOWN = 16
_ANTHROPOMORPHIC, _REASONING, _OTHER = "anthropomorphic", "reasoning", "other"
# The paper's second colour: it names so and let; the others are connectives of the same kind.
_REASONING_WORDS = frozenset(
    {"so", "let", "now", "then", "thus", "hence", "therefore", "since", "because", "if", "but", "and", "also", "can"}
    | {"first", "next", "given", "find", "compute"}
)
_CLASSES = {
    _ANTHROPOMORPHIC: (style.NEGATIVE, "D"),
    _REASONING: (style.POSITIVE, "o"),
    _OTHER: (style.ZERO_LINE, "s"),
}
_WORD_START = "\u0120\u2581 "
_BLANK = "␣"
_TOKEN_LETTERS = 24


def kind(token: str) -> str:
    """The paper's class of a token."""
    word = token.strip(_WORD_START).lower()
    return _ANTHROPOMORPHIC if word in MARKER_WORDS else _REASONING if word in _REASONING_WORDS else _OTHER


def table(runs: Runs) -> pd.DataFrame:
    """One panel per step, the class as series, the token as x; the most frequent first."""
    (arm,) = runs.arms
    frames = []
    shares = _shares(runs, arm)
    for step in _steps(shares):
        at_step = pd.DataFrame({run: of_run.loc[step] for run, of_run in shares.items() if step in of_run.index})
        summary = statistics.means_over_seeds(at_step.fillna(0.0)).nlargest(_SHOWN, "value")
        drawn = summary[summary["value"] > 0]
        frames.append(tidy.rows(f"step {step}", [kind(str(token)) for token in drawn.index], drawn))
    return tidy.join(frames)


def paint(data: pd.DataFrame) -> Figure:
    """One column per step, one row per token."""
    steps = list(data["panel"].unique())
    figure, [axes] = style.new_figure(1, len(steps), width=max(6.5, 3.4 * len(steps)), height=5.6)
    handles = {}
    for panel, step in zip(axes, steps, strict=True):
        rows = data[data["panel"] == step].reset_index(drop=True)
        panel.set_label(step)
        for name, (colour, marker) in _CLASSES.items():
            of_class = rows[rows["series"] == name]
            if of_class.empty:
                continue
            low = of_class["low"].clip(lower=1e-5)
            panel.hlines(of_class.index, low, of_class["high"], color=colour, linewidth=1.2, alpha=0.6)
            handles[name] = panel.plot(
                of_class["value"], of_class.index, marker, color=colour, label=name, markersize=5.5
            )[0]
        panel.set(xscale="log", xlim=(1e-3, 1), ylim=(len(rows) - 0.5, -0.5), title=step, xlabel="Share of positions")
        panel.xaxis.set_major_formatter("{x:g}")
        panel.set_yticks(range(len(rows)), [_shown(str(token)) for token in rows["x"]])
        panel.grid(visible=False, axis="y")
    style.add_legend(figure, handles)
    return figure


def _shown(token: str) -> str:
    """A token without the blank that begins a word; one of blanks alone as marks."""
    return brief(token.strip(_WORD_START), _TOKEN_LETTERS) or _BLANK * len(token)


def class_change(runs: Runs, arm: ArmName) -> list[float]:
    """Of each run, how the share of anthropomorphic tokens changes from the first of the paper's steps to the last."""
    shares = _shares(runs, arm) if arm in runs.arms else {}
    steps = _steps(shares)
    changes = []
    for of_run in shares.values():
        marked = of_run[[token for token in of_run.columns if kind(str(token)) == _ANTHROPOMORPHIC]].sum(axis=1)
        if steps[0] in marked.index and steps[-1] in marked.index:
            changes.append(float(marked[steps[-1]] - marked[steps[0]]))
    return changes


def _shares(runs: Runs, arm: ArmName) -> dict[str, pd.DataFrame]:
    found = {record.id: high_entropy_tokens(record) for record in runs.arms[arm]}
    return {run: of_run for run, of_run in found.items() if not of_run.empty}


def _steps(shares: dict[str, pd.DataFrame]) -> list[int]:
    """The logged steps nearest to the paper's, as shares of all steps."""
    logged = np.unique(np.concatenate([np.empty(0, int), *(of_run.index.to_numpy() for of_run in shares.values())]))
    if not logged.size:
        return []
    wanted = [step / published.PLOTTED_STEPS * logged.max() for step in published.TOKEN_STEPS]
    return list(dict.fromkeys(int(logged[np.abs(logged - step).argmin()]) for step in wanted))
