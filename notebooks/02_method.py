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
# # 02 · The method and its theory
# GRPO and DAPO subtract a group's mean reward. QAE subtracts the group's K-quantile. With rewards of 0 and 1 that is a
# switch: a prompt with success rate p ≤ 1 − K is *hard*, its baseline is 0 and only its right answers teach; any other
# is *easy*, its baseline is 1 and only its wrong answers teach. This notebook needs no runs. Move the sliders.

# %%
import pandas as pd
from ipywidgets import FloatSlider, IntSlider

from analysis import method_figures, notebook


def k_slider() -> FloatSlider:
    return FloatSlider(value=0.4, min=0.05, max=0.95, step=0.05, description="K", continuous_update=False)


def group_slider() -> IntSlider:
    return IntSlider(value=8, min=2, max=64, description="G", continuous_update=False)


# %% [markdown]
# ## What each response weighs
# Proposition 4.1. Under the mean right and wrong answers of a prompt weigh the same, √(p(1 − p)), and medium prompts
# the most. Under the quantile one side of each prompt is silent, and the other weighs more the nearer p is to 1 − K.

# %%
notebook.explore(method_figures.weights, [k_slider()])


# %% [markdown]
# ## Two definitions of the quantile
# The paper's is inf{x : F(x) ≥ K} (`inverse_cdf`); the released code calls `torch.quantile`, which interpolates
# (`linear`). They differ at no more than one number of right responses, G − 1 − ⌊K(G − 1)⌋, shaded below. There the
# interpolated baseline lies between 0 and 1, so *every* response of the group gets an advantage and the sparsity is
# gone.

# %%
notebook.explore(method_figures.definitions, [k_slider(), group_slider()])


# %% [markdown]
# With the paper's G = 16 and K of .2, .4, .6 or .8 they agree everywhere, because K · 15 is a whole number. With 8 or
# 32 responses they do not, and `algorithm.quantile_definition` is a choice.

# %%
groups, quantiles = (4, 8, 10, 16, 32), (0.2, 0.4, 0.5, 0.6, 0.8)
pd.DataFrame(
    [[next(iter(method_figures.differing_counts(k, group)), "–") for k in quantiles] for group in groups],
    index=pd.Index(groups, name="G"),
    columns=pd.Index(quantiles, name="K"),
)

# %% [markdown]
# ## Sparsity against p
# The share of responses with advantage 0. Dotted: the rate p is known. Lines: a group of G samples decides, and
# dynamic sampling has thrown away the groups that are all right or all wrong. The paper reports about 80 % at K = .4
# over a training batch: most prompts kept are then near p = .2 or p = .8, not near the middle.

# %%
notebook.explore(method_figures.sparsity, [k_slider(), group_slider()])


# %% [markdown]
# ## Entropy against the baseline
# Proposition 4.2: to first order the change of entropy grows with the baseline b. The quantile takes the lowest b on
# hard prompts (entropy grows as little as it can) and the highest on easy ones (it falls as little as it can).
# It is extremal among baselines, not a bound: the sign is not promised. And it is a statement about the surrogate step
# with logits moving by π·A; under the exact expected softmax gradient a constant baseline cancels.

# %%
notebook.show(method_figures.entropy_against_baseline())
