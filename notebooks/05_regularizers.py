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
# # 05 · Comparing regularizers
# Clip-Higher, Clip-Cov, KL-Cov, GSPO and the others act on tokens; the baseline acts on responses. The paper's Table 2
# combines them, from a single run each. Seeds of the embedded task differ by .3 in pass@1, so here a difference counts
# only with its interval: on the same seeds and the same problems, and wide enough for all rows of the table at once.

# %% tags=["parameters"]
SOURCE = ""  # a folder of runs, a sweep, offline files of W&B or entity/project; "": $QAE_SOURCE, else your runs/

# %%
from IPython.display import Markdown

from analysis import comparison, notebook, table

opened = notebook.open_runs(SOURCE)
runs = opened.runs
print(opened)

# %% [markdown]
# ## Each arm by itself

# %%
Markdown(table.markdown(table.summarise(runs)))

# %% [markdown]
# ## Each regularizer against the plain one, baseline by baseline

# %%
across = comparison.compare(runs, comparison.against_the_plain_variant(runs))
print(comparison.caption(across))
comparison.frame(across)

# %% [markdown]
# ## The quantile against the mean, regularizer by regularizer
# The paper's claim is a *compatibility*: QAE helps on top of each regularizer. Rows that point the same way are a
# hint, stars are evidence, and no star with few seeds is neither.

# %%
within = comparison.compare(runs, comparison.against_the_mean(runs))
print(comparison.caption(within))
comparison.frame(within)

# %% [markdown]
# ## How far from a verdict?
# Half the width of an interval shrinks with the root of the number of seeds. This is what would be needed for a
# difference of .05 in pass@1 to be seen, were the spread over seeds and problems to stay as it is.

# %%
for difference in (*across, *within):
    if difference.measure is comparison.PASS_1 and difference.seeds > 1:
        half = (difference.high - difference.low) / 2
        print(f"{difference.first} − {difference.second}: about {difference.seeds * (half / 0.05) ** 2:.0f} seeds")

# %% [markdown]
# ## Beside the paper's Table 2
# Its numbers are of Qwen3 bases on AIME and AMC: compare the direction from the mean to the quantile, not the level.

# %%
notebook.draw("table2", opened)

# %%
notebook.draw("regularizer_by_k", opened)

# %% [markdown]
# ## Where each went

# %%
notebook.draw("entropy_and_pass", opened)
