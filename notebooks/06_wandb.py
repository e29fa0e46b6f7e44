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
# # 06 · From W&B: pull, check, compare
# Runs that others trained, with this toolkit or with plain verl. `SOURCE = "entity/project"` is all that changes; the
# first call fetches, later ones fetch what is new. `QAE_CACHE` says where copies are kept, `WANDB_API_KEY` who you
# are. A folder of offline files, or of runs, works as well.

# %% tags=["parameters"]
SOURCE = ""  # a folder of runs, a sweep, offline files of W&B or entity/project; "": $QAE_SOURCE, else your runs/

# %%
import pandas as pd

from analysis import comparison, notebook
from analysis.report import quality
from qae import metrics

pd.set_option("display.max_colwidth", None)
opened = notebook.open_runs(SOURCE)
runs = opened.runs
print(opened)

# %% [markdown]
# ## Check
# A crashed run, one that is still going on, a hole in the steps: here is the place to see it, not in a figure. Counts
# per problem are not on W&B, so pass@k comes from the logged curves and its intervals are over seeds only.

# %%
pd.DataFrame([{"what": str(f.kind), "where": f.where, "found": f.text} for f in quality.check(runs)])

# %%
known = [name for name in metrics.METRICS if runs.has(name)]
print(f"{len(known)} of {len(metrics.METRICS)} metrics that the figures know are there")
print("not logged:", ", ".join(name for name in metrics.METRICS if name not in known) or "none")

# %% [markdown]
# ## Compare

# %%
notebook.draw("entropy_and_pass", opened)

# %%
measures = (comparison.ENTROPY_FINAL, comparison.ENTROPY_PEAK, comparison.LENGTH_FINAL)
pass_1 = metrics.pass_at(1)
last_pass_1 = comparison.of_metric(pass_1, "logged pass@1", 3, lambda series: series.ffill().tail(1).squeeze(axis=0))
differences = comparison.compare(runs, comparison.against_the_mean(runs), (last_pass_1, *measures))
print(comparison.frame_caption(differences))
comparison.frame(differences)

# %% [markdown]
# ## Keep
# `qae export entity/project --out runs.parquet` writes the same tidy table to a file; `qae report entity/project` the
# report; `qae dashboard push entity/project` puts panels for all of this on W&B.

# %%
runs.metrics.groupby("run", observed=True)["step"].agg(["count", "max"]).rename(columns={"count": "numbers"})
