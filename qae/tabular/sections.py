"""The section of the tabular policy and its world; torch-free. All else is in `qae.embedded.sections`."""

from dataclasses import dataclass


@dataclass
class World:
    """The `tabular` section: what is asked, what the start knows, and how a response looks.

    A response answers a few facts. Before each fact come style tokens, which do not matter for the reward; a wrong
    response goes on for more of them.

    Attributes:
        facts: how many there are; each has a row of logits.
        choices: answers of a fact, of which one is right.
        reliability: Beta(a, b), from which each fact's probability of the right answer at the start is drawn.
        misconception: share of the rest that a fact's favourite mistake has; what is left is spread evenly.
        facts_per_response: facts that a prompt asks.
        style_contexts: contexts in which style tokens stand; each has a row of logits, shared by all prompts.
        vocabulary: style tokens.
        zipf_exponent: of their frequencies at the start; the greater, the more peaked.
        style_tokens: style tokens before each fact.
        failure_tokens: style tokens by which a wrong response is longer than a right one.
        tail: rank from which style tokens count as tail; of the tail's words some are marker words.
        disturbance: probability with which a tail token spoils the fact after it.
        fact_lr_factor: learning rate of facts by that of style tokens, which are met in every response.
        evaluation_problems: held-out prompts.
        seed: of the world: reliabilities and held-out prompts.
    """

    facts: int
    choices: int
    reliability: list[float]
    misconception: float
    facts_per_response: int
    style_contexts: int
    vocabulary: int
    zipf_exponent: float
    style_tokens: int
    failure_tokens: int
    tail: int
    disturbance: float
    fact_lr_factor: float
    evaluation_problems: int
    seed: int
