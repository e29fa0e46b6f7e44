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
# # 04 · Choosing K for your run
# The paper's rule of thumb looks at entropy, not at the evaluation: one AIME problem is 3.3 points of pass@1, while
# entropy is measured on every token of every step. Train the *mean* first, a third of the way is enough.
#
# | entropy under the mean | K |
# |---|---|
# | falls early, or is low | .6 |
# | grows, responses get longer, pass@1 stalls | .4 |
# | neither | .4, the default with Clip-Higher |

# %% tags=["parameters"]
SOURCE = ""  # a folder of runs, a sweep, offline files of W&B or entity/project; "": $QAE_SOURCE, else your runs/

# %%
import pandas as pd

from analysis import comparison, entropy_course, notebook
from analysis.advice import advise
from qae import metrics

pd.set_option("display.max_colwidth", None)
opened = notebook.open_runs(SOURCE)
runs = opened.runs
print(opened)

# %% [markdown]
# ## How entropy goes
# *early change*: the first third of the steps against the start. *exploded*, *collapsed*: seeds whose entropy stays
# above 1.3 times, or below a fifth, of its start (the median of five steps; `analysis.statistics.Rule`). Entropy
# that falls while pass@16 holds is a task being learnt, not a collapse.

# %%
entropy_course.frame(runs)

# %%
notebook.draw("entropy_and_pass", opened)

# %% [markdown]
# ## What pushes entropy
# The paper's rule of thumb looks at entropy alone. The advantage's mean over tokens says more: entropy is pushed up
# where it is negative and down where it is positive, and it is known from the first step on. Trained baselines are
# compared with the mean; notebook 07 goes on from here.

# %%
advices, left_out = advise.advise_all(runs)
for advice in advices:
    print(*advise.lines(advice), sep="\n")
print(*left_out, sep="\n")

# %% [markdown]
# ## And the runs that already have a K?
# They outrank the rule of thumb. A K is worth keeping if its entropy is in bounds **and** it does not lose
# pass@1 against the mean on the same seeds; a star marks what is separated from zero. A small model whose signal is
# strong may lose by any K, since three quarters of its gradient are switched off; more prompts in each update help
# then (`+experiment=more_prompts`: level with the mean). Fewer arms in the source mean narrower intervals: take a
# sweep.

# %%
notebook.draw("k_response", opened)

# %%
pairs = [pair for pair in comparison.against_the_mean(runs) if pair[0].baseline.startswith("K")]
differences = comparison.compare(runs, pairs, (comparison.PASS_1, comparison.ENTROPY_FINAL))
print(comparison.frame_caption(differences))
comparison.frame(differences)

# %% [markdown]
# ## Is the switch on?
# If far less than 70 to 80 % of advantages are zero, the quantile is not what it seems: rewards are shaped
# (`qae/multi_valued_group_fraction` says in how many groups), and `algorithm.quantile_on=accuracy` is the way back.

# %%
for arm in runs.arms:
    zero = runs.series(arm, metrics.ZERO_FRACTION.name).mean().mean()
    several = runs.series(arm, metrics.MULTI_VALUED_GROUP_FRACTION.name).mean().mean()
    print(f"{arm}: {zero:.0%} of advantages are zero, {several:.0%} of groups have more than two scores")
