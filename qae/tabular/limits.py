"""Limits of the tabular policy's world."""

from qae.embedded.limits import require
from qae.embedded.sections import Sections
from qae.tabular.sections import World

_MOST_CELLS = 50_000_000  # logits of all facts: 200 MB, thrice with Adam's moments


def check(config: Sections, world: World) -> None:
    """Refuse values that no run can have.

    Raises:
        ConfigError: names the key, the value and the fix.
    """
    _check_numbers(world)
    _check_shares(world)
    cells = world.facts * world.choices
    fix = f"facts x choices are {cells} logits; give at most {_MOST_CELLS}"
    require(cells <= _MOST_CELLS, "tabular.facts", world.facts, fix)
    fix = f"give a rank of the style tokens: 0 for all, tabular.vocabulary={world.vocabulary} for none"
    require(world.tail <= world.vocabulary, "tabular.tail", world.tail, fix)
    length = response_length(world)
    key, limit = "data.max_response_length", config.data.max_response_length
    require(length <= limit, key, limit, f"a wrong response has {length} tokens (tabular.*); give at least {length}")
    decay = config.actor.optim.weight_decay
    fix = "the tabular policy has no weight decay: rows that are not met stay as they are; set 0"
    require(decay == 0, "actor_rollout_ref.actor.optim.weight_decay", decay, fix)
    top_p = config.rollout.val_kwargs.top_p
    require(top_p == 1, "actor_rollout_ref.rollout.val_kwargs.top_p", top_p, "the tabular policy has no nucleus; set 1")


def response_length(world: World) -> int:
    """Tokens of a wrong response, the longest there is."""
    return world.facts_per_response * (world.style_tokens + 1) + world.failure_tokens


def _check_numbers(world: World) -> None:
    for key, value, least in (
        ("facts", world.facts, 1),
        ("choices", world.choices, 2),
        ("facts_per_response", world.facts_per_response, 1),
        ("style_contexts", world.style_contexts, 1),
        ("vocabulary", world.vocabulary, 2),
        ("style_tokens", world.style_tokens, 0),
        ("failure_tokens", world.failure_tokens, 0),
        ("tail", world.tail, 0),
        ("evaluation_problems", world.evaluation_problems, 1),
        ("seed", world.seed, 0),
        ("zipf_exponent", world.zipf_exponent, 0),
    ):
        require(value >= least, f"tabular.{key}", value, f"give a number of at least {least}")
    require(world.fact_lr_factor > 0, "tabular.fact_lr_factor", world.fact_lr_factor, "give a number above 0")


def _check_shares(world: World) -> None:
    for key, share in (("misconception", world.misconception), ("disturbance", world.disturbance)):
        require(0 <= share <= 1, f"tabular.{key}", share, "give a probability between 0 and 1")
    reliability = world.reliability
    fix = "give two numbers above 0"
    require(len(reliability) == 2 and min(reliability) > 0, "tabular.reliability", reliability, fix)
