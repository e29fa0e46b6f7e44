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
# # 01 · First look at a sweep
# What ran, what came out, and whether the numbers can be trusted, before any of them is compared.
# The same notebook reads a folder of runs, one sweep of it, or a W&B project: change `SOURCE`, nothing else.

# %% tags=["parameters"]
SOURCE = ""  # a folder of runs, a sweep, offline files of W&B or entity/project; "": $QAE_SOURCE, else your runs/

# %%
import pandas as pd
from IPython.display import Markdown

from analysis import notebook, table
from analysis.report import quality
from qae import metrics

pd.set_option("display.max_colwidth", None)
opened = notebook.open_runs(SOURCE)
runs = opened.runs
print(opened)

# %% [markdown]
# ## What ran
# An *arm* is all runs that are equal but for the seed; it is named by what sets it apart from the others.

# %%
pd.DataFrame(
    [
        {"run": r.id, "arm": str(r.arm), "seed": r.seed, "status": str(r.status), "step": r.step, "of": r.total_steps}
        for r in runs.records
    ]
)

# %% [markdown]
# ## What is wrong with the data
# Steps that are missing, files that could not be read, the same computation counted twice, runs of different versions
# of verl, torch or the code. The last is no formality: defaults and the definitions of metrics change between versions.

# %%
findings = quality.check(runs)
pd.DataFrame([{"what": str(f.kind), "where": f.where, "found": f.text} for f in findings]) if findings else "Nothing."

# %% [markdown]
# ## What came out

# %%
Markdown(table.markdown(table.summarise(runs)))

# %% [markdown]
# ## Entropy first
# QAE is about entropy; pass@k follows it with a delay. Read the left panel before the others: does a line explode (it
# grows and stays there, responses get longer) or collapse (it falls towards zero and pass@16 comes down to pass@1)?

# %%
notebook.draw("entropy_and_pass", opened)

# %% [markdown]
# ## One run, every metric
# The tidy frame has one row per number: `run, step, name, value`. Whatever is not in a figure is one line away.

# %%
first = runs.records[0]
own = runs.metrics[runs.metrics["run"] == first.id]
last = own.sort_values("step").groupby("name", observed=True).tail(1).set_index("name")[["step", "value"]]
last["what"] = [metrics.METRICS[name].definition if name in metrics.METRICS else "" for name in last.index]
print(first.id, first.arm)
last.sort_index()
