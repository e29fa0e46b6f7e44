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
# Clip-Higher, Clip-Cov, KL-Cov, GSPO and the others act on tokens; the baseline acts on responses. The paper's Table
# 2 combines them, from a single run each. Here a difference counts only with its interval: on the same seeds and the
# same problems, and wide enough for all rows of the table at once. Take one sweep (`SOURCE = "table2"`) rather than a
# store of everything: fewer questions, narrower intervals.

# %% tags=["parameters"]
SOURCE = ""  # a folder of runs, a sweep, offline files of W&B or entity/project; "": $QAE_SOURCE, else your runs/

# %%
import pandas as pd
from IPython.display import Markdown

from analysis import comparison, notebook, table

pd.set_option("display.max_colwidth", None)
measures = (comparison.PASS_1, comparison.PASS_16, comparison.ENTROPY_FINAL)
opened = notebook.open_runs(SOURCE)
runs = opened.runs
print(opened)

# %% [markdown]
# ## Each arm by itself

# %%
Markdown(table.markdown(table.summarise(runs)))

# %% [markdown]
# ## Each regularizer against the plain one, baseline by baseline
# In the tabular world Clip-Cov and KL-Cov tame what the mean does to entropy (it ends at .48, below its start of .72)
# and leave pass@1 where it is; GSPO learns less in 60 steps. Their parameters are verl's, chosen for models of
# billions of parameters: that is no evidence about the methods.

# %%
across = comparison.compare(runs, comparison.against_the_plain_variant(runs), measures)
print(comparison.frame_caption(across))
comparison.frame(across)

# %% [markdown]
# ## The quantile against the mean, regularizer by regularizer
# The paper's claim is a *compatibility*: QAE helps on top of each regularizer. Rows that point the same way are a
# hint, stars are evidence, and no star with few seeds is neither.

# %%
within = comparison.compare(runs, comparison.against_the_mean(runs), measures)
print(comparison.frame_caption(within))
comparison.frame(within)

# %% [markdown]
# ## How far from a verdict?
# How many seeds an arm it would take to see the difference in pass@1 that is above, alone in its table, with a chance
# of 80 %, were it and the spread to stay as they are. A dash: a single seed, or no number is enough on these
# problems.

# %%
pd.DataFrame(
    [
        {
            "difference": f"{of.first} - {of.second}",
            "pass@1": f"{of.value:+.3f}",
            "seeds": of.seeds,
            "needed": of.seeds_needed or "—",
        }
        for of in (*across, *within)
        if of.measure is comparison.PASS_1
    ]
)

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
