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
# # 03 · The paper's dynamics, figure by figure
# For each figure: what the paper says, what to look for, and what these runs show. The paper trains Qwen3 bases of 8B
# to 32B on DAPO-Math-17k. The default sweep trains a table of logits (`model=tabular`) in a world whose every
# property is known (docs/why_entropy_explodes.md): what appears there speaks for the mechanism, what does not appear
# there speaks against nothing. The numbers below in words are of `make paper`, ten seeds an arm.
#
# Each caption ends with the paper's claims as these runs judge them: *appears* or *the opposite appears* where an
# interval lies on one side, *not shown* where it does not. A figure whose runs are not here says how to make them.

# %% tags=["parameters"]
SOURCE = ""  # a folder of runs, a sweep, offline files of W&B or entity/project; "": $QAE_SOURCE, else your runs/

# %%
import pandas as pd

from analysis import comparison, entropy_course, notebook
from analysis.figures import paper
from qae import metrics

pd.set_option("display.max_colwidth", None)
opened = notebook.open_runs(SOURCE)
runs = opened.runs
print(opened)

# %% [markdown]
# ## Figures 1, 5a, 10, 11: entropy and pass@k
# **The paper**: with the mean and Clip-Higher entropy spikes between steps 10 and 80 and pass@1 then stalls; K = .4
# keeps entropy in bounds, pass@1 goes on growing, pass@16 is alike. At 14B (Fig. 11) the spike is milder.
# **Look for**: entropy that stays above 1.3 times its start, an explosion in the table below, not for a wiggle. In
# the tabular world entropy rises from .72 to 1.13 under the mean and falls to .21 under K = .4, which gains .014 in
# pass@1 and loses nothing in pass@16. The larger model's stand-in explodes more, not less.

# %%
notebook.draw("fig1", opened)

# %%
notebook.draw("fig5a", opened)

# %%
notebook.draw("fig10", opened)

# %%
notebook.draw("fig11", opened)

# %%
entropy_course.frame(runs)

# %% [markdown]
# ## Figure 9: four values of K
# **The paper**: .8 drives entropy up, lengthens responses and stalls early; .2 stays low and gains little; .4 is
# between. In the tabular world entropy and length have this order. pass@1 has not: .2 learns a little more than .4,
# because low entropy costs nothing where style does not matter for the reward.

# %%
notebook.draw("fig9", opened)

# %% [markdown]
# ## Figures 2, 3, 7, 8: words that mark a thought
# **The paper**: under the mean such words (wait, perhaps, …) surge together with pass@1 and then decouple; under K =
# .4 they rise and level off while pass@1 goes on. In the tabular world such words are rare style tokens. Under the
# mean with Clip-Higher they double by the last step, with entropy and without any use; under K = .4 they vanish.

# %%
notebook.draw("fig2", opened)

# %%
notebook.draw("fig7", opened)

# %%
notebook.draw("fig3", opened)

# %%
notebook.draw("fig8", opened)

# %% [markdown]
# ## Figures 4a, 5b: whose entropy
# **The paper**: under the mean, responses with negative advantage have the higher entropy and drive its growth; QAE
# damps that. **Look for**: the sign of the difference in the lower row, and whether its band leaves out zero.
# In the tabular world the order appears under the mean. Which responses are "negative" changes with K, so compare the
# two classes within an arm and not one class between arms.

# %%
notebook.draw("fig4a", opened)

# %%
notebook.draw("fig5b", opened)

# %% [markdown]
# ## Figures 4b, 4c: what a response weighs
# Formulas, no runs; notebook 02 has them with sliders.

# %%
notebook.draw("fig4b", opened)

# %%
notebook.draw("fig4c", opened)

# %% [markdown]
# ## Figure 5c: four of five responses teach nothing
# **The paper**: about 80 % of advantages are zero at K = .4, throughout training.
# **Look for**: the grey area. Far less of it means that groups have more than two scores, which shaped rewards cause.

# %%
notebook.draw("fig5c", opened)

# %% [markdown]
# ## Figures 6a, 6b, 6c: larger models, and one side of the quantile at a time
# **The paper**: the gain holds at 14B; masking negatives of hard prompts is nearly all of QAE's gain with Clip-
# Higher, masking positives of easy prompts is the better half with the symmetric clip. In the tabular world the
# negatives of hard prompts are the half to mask under either clip. Where only the positives of easy ones are masked
# (POS-MASK), wrong responses teach, and entropy trebles.

# %%
notebook.draw("fig6a", opened)

# %%
notebook.draw("fig6b", opened)

# %%
notebook.draw("fig6c", opened)

# %% [markdown]
# ## The control that isolates the baseline
# Rewards that are coin flips: nothing can be learnt, so only the baseline and the clip act on entropy. This is not in
# the paper; it is where its order in K shows most clearly on the embedded transformer (`model=tiny`).

# %%
notebook.draw("noise_control", opened)

# %% [markdown]
# ## A baseline that balances tokens
# Not in the paper: the token-weighted mean (`advantage=token_mean`) of a group, under which right and wrong *tokens*
# weigh the same. If explosion comes from failures that are longer, it must hold entropy without any K.
# **Look for**: its line between that of the mean and that of K = .4, near the start; and its pass@1, at least that of
# K = .4. The metric that tells them apart early is `qae/advantage_token_mean`, which is zero under it.

# %%
balance = [
    {
        "arm": str(arm),
        "advantage over tokens, first 5 steps": runs.series(arm, metrics.ADVANTAGE_TOKEN_MEAN.name)
        .head(5)
        .mean()
        .mean(),
        "entropy at the start": runs.series(arm, metrics.ENTROPY.name).iloc[0].mean(),
        "entropy, last 5 steps": runs.series(arm, metrics.ENTROPY.name).tail(5).mean().mean(),
    }
    for arm in runs.arms
    if len(runs.series(arm, metrics.ADVANTAGE_TOKEN_MEAN.name)) and len(runs.series(arm, metrics.ENTROPY.name))
]
pd.DataFrame(balance).set_index("arm") if balance else "No run here logged qae/advantage_token_mean."

# %% [markdown]
# ## All claims
# What of the paper appears in these runs, what does not, and on how much that rests.

# %%
notebook.claims(paper.names(), opened)

# %% [markdown]
# ## Each K against the mean
# The same seeds and the same problems, with intervals that allow for the size of the table. One that is wider than
# the scale says that so few seeds cannot answer so many questions: ask fewer.

# %%
pairs = [pair for pair in comparison.against_the_mean(runs) if pair[0].baseline.startswith("K")]
differences = comparison.compare(runs, pairs, (comparison.PASS_1, comparison.ENTROPY_FINAL))
print(comparison.frame_caption(differences))
comparison.frame(differences)
