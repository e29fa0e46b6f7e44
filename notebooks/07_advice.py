# ---
# jupyter:
#   jupytext:
#     formats: ipynb,py:percent
#     text_representation:
#       extension: .py
#       format_name: percent
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # 07 · What the first steps tell, how many seeds more, and what to end early
# Questions before GPU hours are spent. *What pushes entropy?* `qae advise` reads the first steps of a run with the mean
# and compares trained baselines with it. *Is that difference real?* `qae refine` says how many seeds would show it, and
# the command that trains them. *Which runs were not worth their hours?* `qae guard replay` asks the entropy guard, and
# `qae study` shows what a search has found. This notebook is these commands step by step; docs/advice.md and
# docs/guard.md have what they were worth on seeds that no threshold was chosen on.

# %% tags=["parameters"]
SOURCE = ""  # a folder of runs, a sweep, offline files of W&B or entity/project; "": $QAE_SOURCE, else your runs/

# %%
import pandas as pd
from IPython.display import display
from rich.console import Console

from analysis import comparison, notebook, study
from analysis.advice import advise
from analysis.guard import commands, replay, tables
from analysis.refine import needs

pd.set_option("display.max_colwidth", None)
opened = notebook.open_runs(SOURCE)
runs = opened.runs
print(opened)

# %% [markdown]
# ## What the mean shows
# *cause* is the advantage's mean over tokens. Where wrong responses are longer it is negative under the mean, and
# entropy is pushed up before it has risen; `advantage=token_mean` makes it zero. No rule turns these numbers into a K:
# none that was tried earned anything over a fixed baseline (docs/advice.md).

# %%
advices, left_out = advise.advise_all(runs)
for advice in advices:
    print(*advise.lines(advice), sep="\n")
print(*left_out, sep="\n")

# %% [markdown]
# ## What each K would do to these groups
# K decides which sign a group teaches by: right responses up to p = 1 - K, wrong ones above. Only groups with p
# between 1/2 and 1 - K are treated otherwise than at K = .5, where the most advantages are zero. No histogram of p
# is logged; it is inferred from three shares that are (`analysis.advice.successes`), and checked here against what
# runs with a K logged.

# %%
for advice in advices:
    display(pd.DataFrame(advise.cells(advice), columns=advise.COLUMNS).set_index("K"))
    print(advise.caption(advice))

# %% [markdown]
# ## How many seeds would tell?
# From the variance between seeds and problems that the runs show, on the same seeds: the least number of seeds at
# which such a difference, if it is the true one, would be separated from zero with a chance of 80 %. The variance of
# two or three seeds is itself a rough number.

# %%
question = needs.Question(comparison.PASS_1)
pairs = {}
for need in needs.needs(runs, comparison.default_pairs(runs), question):
    lacking = dict(needs.missing_seeds(need, runs)) if need.needed and need.needed <= question.most else {}
    pairs[f"{need.first} - {need.second}"] = {
        "pass@1": f"{need.of.value:+.3f} [{need.of.low:+.3f}, {need.of.high:+.3f}]",
        "seeds": len(need.seeds),
        "told apart": need.is_separated,
        "seeds needed": need.needed,
        "to train": "; ".join(f"{arm}: {', '.join(map(str, seeds))}" for arm, seeds in lacking.items() if seeds),
    }
pd.DataFrame.from_dict(pairs, orient="index").astype({"seeds needed": "Int64"})

# %% [markdown]
# `qae refine` prints the command for these seeds, after `sweep.py` has planned it for a seed that is there and found
# the same run; `--launch` starts it.

# %% [markdown]
# ## What the entropy guard would have ended
# `guard=entropy` ends, tags or forks a run whose entropy explodes, which learns nothing or diverges. Here the same
# rules look at runs that are over, step by step, as they would have live: what would have been saved, and which good
# runs would have been lost.

# %%
items = replay.replay(runs, commands.watches_of())
print(tables.sums(items))
pd.DataFrame([tables.row(item) for item in items], columns=tables.HEADER).set_index("run")

# %% [markdown]
# ## What a search has found
# `hydra/sweeper=optuna` searches instead of sweeping a grid (docs/search.md). Settings with the mean over their seeds,
# intervals, and what mattered, of every search of the store:

# %%
roots = sorted({record.directory.parent for record in runs.records if record.directory is not None})
searches = [(root, name) for root in roots for name in study.names(root)]
for root, name in searches:
    study.show(root, name, Console(width=110), 10)
if not searches:
    print(
        "No search here; python sweep.py -m hydra/sweeper=optuna 'algorithm.quantile_k=range(0.1,0.9,0.1)' seed=0,1 "
        "makes one."
    )
