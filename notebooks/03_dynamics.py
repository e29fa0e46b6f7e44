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
# to 32B on DAPO-Math-17k. A sweep of the embedded task (`model=tiny`) has a hundred thousand parameters and chained
# arithmetic: what appears there speaks for the mechanism, what does not appear there speaks against nothing.
#
# Each caption ends with the paper's claims as these runs judge them: *appears* or *the opposite appears* where an
# interval lies on one side, *not shown* where it does not. A figure whose runs are not here says how to make them.

# %% tags=["parameters"]
SOURCE = ""  # a folder of runs, a sweep, offline files of W&B or entity/project; "": $QAE_SOURCE, else your runs/

# %%
import pandas as pd

from analysis import comparison, entropy_course, notebook
from analysis.figures import paper

pd.set_option("display.max_colwidth", None)
opened = notebook.open_runs(SOURCE)
runs = opened.runs
print(opened)

# %% [markdown]
# ## Figures 1, 5a, 10, 11: entropy and pass@k
# **The paper**: with the mean and Clip-Higher entropy spikes between steps 10 and 80 and pass@1 then stalls; K = .4
# keeps entropy in bounds, pass@1 goes on growing, pass@16 is alike. At 14B (Fig. 11) the spike is milder.
# **Look for**: entropy that stays above 1.3 times its start, an explosion in the table below, not for a wiggle.
# On the embedded task entropy halves under the mean with Clip-Higher: there is no explosion for K = .4 to prevent, and
# over five seeds K = .4 ends with no higher pass@1.

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
# between. On the embedded task final entropy has this order above K = .4, and pass@1 the opposite one: the larger K,
# the less is learnt. That .8 lengthens responses takes more than three seeds to see.

# %%
notebook.draw("fig9", opened)

# %% [markdown]
# ## Figures 2, 3, 7, 8: words that mark a thought
# **The paper**: under the mean such words (wait, perhaps, …) surge together with pass@1 and then decouple; under K =
# .4 they rise and level off while pass@1 goes on. The embedded task has fillers and a word that redoes a step, learnt
# from its teacher: their counts follow the same code path, their meaning is made up. They fall from the first step on,
# under either baseline, because the task is solved without them.

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
# On the embedded task the order appears under the mean (by .01 to .04 nats) and turns round for K of .4 and more:
# which responses are "negative" changes with K, so compare the two classes within an arm and not one class between
# arms.

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
# **The paper**: the gain holds at 14B; masking negatives of hard prompts is nearly all of QAE's gain with Clip-Higher,
# masking positives of easy prompts is the better half with the symmetric clip. On the embedded task the negatives of
# hard prompts are the half to mask under either clip; where only the positives of easy ones are masked (POS-MASK)
# entropy doubles and pass@1 falls below its start.

# %%
notebook.draw("fig6a", opened)

# %%
notebook.draw("fig6b", opened)

# %%
notebook.draw("fig6c", opened)

# %% [markdown]
# ## The control that isolates the baseline
# Rewards that are coin flips: nothing can be learnt, so only the baseline and the clip act on entropy. This is not in
# the paper; it is where its order in K shows most clearly on the embedded task.

# %%
notebook.draw("noise_control", opened)

# %% [markdown]
# ## All claims
# What of the paper appears in these runs, what does not, and on how much that rests.

# %%
notebook.claims(paper.names(), opened)

# %% [markdown]
# ## Each K against the mean
# The same seeds and the same problems, with intervals that allow for the size of the table. One that is wider than the
# scale says that so few seeds cannot answer so many questions: ask fewer.

# %%
pairs = [pair for pair in comparison.against_the_mean(runs) if pair[0].baseline.startswith("K")]
differences = comparison.compare(runs, pairs, (comparison.PASS_1, comparison.ENTROPY_FINAL))
print(comparison.frame_caption(differences))
comparison.frame(differences)
