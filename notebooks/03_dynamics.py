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
# For each figure: what the paper says, what these runs show, and how to judge it. The paper trains Qwen3 bases of 8B
# to 32B on DAPO-Math-17k; a sweep of the embedded task (`model=tiny`) has a hundred thousand parameters and chained
# arithmetic. What appears there speaks for the mechanism, what does not appear there speaks against nothing.

# %% tags=["parameters"]
SOURCE = ""  # a folder of runs, a sweep, offline files of W&B or entity/project; "": $QAE_SOURCE, else your runs/

# %%
from analysis import comparison, entropy_course, notebook
from qae import metrics

opened = notebook.open_runs(SOURCE)
runs = opened.runs
print(opened)

# %% [markdown]
# ## Figures 1, 5a, 9, 10: entropy and pass@k
# **The paper**: with the mean and Clip-Higher entropy spikes between steps 10 and 80 and pass@1 then stalls; K = .4
# keeps entropy in bounds and pass@1 goes on growing, with pass@16 alike. Over K: .8 drives entropy up, lengthens
# responses and stalls early; .2 stays low and gains little.
# **Look for**: a peak well above the start (1.3 times it is called an explosion below), not for a wiggle.
# On the embedded task the order in K appears above K = .4 and K = .8 explodes; an explosion under the mean does not.

# %%
notebook.draw("entropy_and_pass", opened)

# %%
entropy_course.frame(runs)

# %% [markdown]
# ## Figures 4a, 5b: whose entropy
# **The paper**: under the mean, responses with negative advantage have the higher entropy and drive its growth; QAE
# damps that. **Look for**: the sign of the difference in the lower row, and whether its band leaves out zero.
# On the embedded task the order appears under the mean (by .01 to .04 nats) and turns round for K of .4 and more:
# which responses are "negative" changes with K, so compare the two classes within an arm and not one class between
# arms.

# %%
notebook.draw("entropy_by_sign", opened)

# %% [markdown]
# ## Figure 5c: four of five responses teach nothing
# **The paper**: about 80 % of advantages are zero at K = .4, throughout training.
# **Look for**: the grey area. Far less of it means that groups have more than two scores, which shaped rewards cause.

# %%
notebook.draw("advantage_shares", opened)

# %%
for arm in runs.arms:
    zero = runs.series(arm, metrics.ZERO_FRACTION.name)
    if not zero.empty:
        print(f"{arm}: {zero.mean().mean():.0%} zero over all steps, {zero.iloc[-1].mean():.0%} at the last")

# %% [markdown]
# ## The control that isolates the baseline
# Rewards that are coin flips: nothing can be learnt, so only the baseline and the clip act on entropy. This is not in
# the paper; it is where its order in K shows most clearly on the embedded task.

# %%
notebook.draw("noise_control", opened)

# %% [markdown]
# ## Each K against the mean
# The same seeds and the same problems, with intervals that allow for the size of the table.

# %%
differences = comparison.compare(runs, comparison.against_the_mean(runs))
print(comparison.caption(differences))
comparison.frame(differences)
