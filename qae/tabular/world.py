"""The world of the tabular policy: what the start knows, what is asked, how a response is drawn and judged."""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from qae.tabular.sections import World
from qae.tabular.table import Table
from qae.tokens.marker_words import MARKER_WORDS

_RELIABILITY_ENDS = (0.02, 0.98)  # no fact is known or unknown for sure
_HEAD = (
    *("so", "let", "then", "now", "and", "thus", "first", "next", "since", "therefore", "hence", "if", "also", "given"),
    *("find", "compute", "because", "note", "we", "have", "get", "take"),
)
_TAIL = (
    *("wait", "but", "perhaps", "maybe", "or", "however", "hmm", "well", "actually", "alternatively", "suppose"),
    *("instead", "again", "unless", "otherwise", "rather", "still", "though", "yet", "possibly", "oddly", "besides"),
)


@dataclass(frozen=True)
class Drawn:
    """Responses to prompts, one row per response, in the positions of `Layout`.

    Attributes:
        row_B_T: the context of each token: a style context, or `style_contexts` plus the fact.
        ids_B_T: the tokens: a style token, or `vocabulary` plus the choice.
        right_B: whether all facts were answered, bool.
    """

    row_B_T: Tensor
    ids_B_T: Tensor
    right_B: Tensor


class Layout:
    """Columns of a response: its style tokens, those of a failure last, and then its facts.

    To a table the order within a response is nothing, and columns of a kind that lie side by side are read without
    a copy.
    """

    def __init__(self, world: World) -> None:
        common = world.facts_per_response * world.style_tokens
        styles = common + world.failure_tokens
        self.longest = styles + world.facts_per_response
        self.length = self.longest - world.failure_tokens
        self.style, self.failure, self.fact = slice(styles), slice(common, styles), slice(styles, self.longest)


class TabularWorld:
    """Starts, prompts and responses; the same for every run of the world but for the draws."""

    def __init__(self, world: World) -> None:
        self.config = world
        self.layout = Layout(world)
        self.tokens = (*_style_words(world), *(str(choice) for choice in range(world.choices)))
        self.markers = {id_: word for id_, word in enumerate(self.tokens) if word in MARKER_WORDS}
        generator = np.random.default_rng(world.seed)
        self._reliability = np.clip(
            generator.beta(world.reliability[0], world.reliability[1], world.facts), *_RELIABILITY_ENDS
        )
        asked = generator.integers(0, world.facts, (world.evaluation_problems, world.facts_per_response))
        self.held_out_P_O = torch.from_numpy(asked)

    def style_start(self) -> Tensor:
        """Logits of the style contexts, float32 (contexts, vocabulary): Zipf's law, the same in all."""
        ranks = torch.arange(1, self.config.vocabulary + 1, dtype=torch.float64)
        row = -self.config.zipf_exponent * ranks.log()
        return row.float().repeat(self.config.style_contexts, 1)

    def fact_start(self) -> Tensor:
        """Logits of the facts, float32 (facts, choices); choice 0 is right and choice 1 the favourite mistake."""
        wrong = 1 - self._reliability
        spread = wrong * (1 - self.config.misconception) / self.config.choices
        probability = np.repeat(spread[:, None], self.config.choices, 1)
        probability[:, 0] += self._reliability
        probability[:, 1] += wrong * self.config.misconception
        return torch.from_numpy(np.log(probability)).float()

    def prompts(self, count: int, generator: torch.Generator) -> Tensor:
        """Facts that prompts ask, int64 (count, facts per response)."""
        return torch.randint(self.config.facts, (count, self.config.facts_per_response), generator=generator)

    def draw(
        self, style: Table, facts: Table, asked_P_O: Tensor, n: int, temperature: float, generator: torch.Generator
    ) -> Drawn:
        """Draw n responses a prompt, each as long as a wrong one; those of a prompt are adjacent."""
        world, layout = self.config, self.layout
        size = len(asked_P_O) * n
        asked_B_O = asked_P_O.repeat_interleave(n, 0)
        choice_B_O = _choices(facts.log_policy(asked_P_O, temperature), n, generator)
        context_B_S = torch.randint(world.style_contexts, (size, layout.style.stop), generator=generator)
        token_B_S = _tokens(style.log_policy(torch.arange(world.style_contexts), temperature), context_B_S, generator)
        right_B_O = choice_B_O == 0
        if world.disturbance:
            before_B_O = _tail_tokens_before(token_B_S, world)
            undisturbed_B_O = (1 - world.disturbance) ** before_B_O
            right_B_O &= torch.rand(right_B_O.shape, generator=generator) < undisturbed_B_O
        row_B_T = torch.cat([context_B_S, asked_B_O + world.style_contexts], 1)
        ids_B_T = torch.cat([token_B_S, choice_B_O + world.vocabulary], 1)
        return Drawn(row_B_T, ids_B_T, right_B_O.all(1))

    def mask(self, right_B: Tensor) -> Tensor:
        """Tokens of each response, float32 (B, longest): those by which a wrong one is longer only if it is wrong."""
        mask_B_T = torch.ones(len(right_B), self.layout.longest)
        mask_B_T[:, self.layout.failure] = (~right_B)[:, None].float()
        return mask_B_T


def _style_words(world: World) -> list[str]:
    tail = world.vocabulary - world.tail
    words = [*_numbered(_HEAD, world.tail, "head"), *_numbered(_TAIL, tail, "tail")]
    return words[: world.vocabulary]


def _numbered(words: tuple[str, ...], count: int, otherwise: str) -> list[str]:
    return [words[rank] if rank < len(words) else f"{otherwise}{rank}" for rank in range(count)]


def _choices(log_policy_P_O_M: Tensor, n: int, generator: torch.Generator) -> Tensor:
    """Draws from each fact's policy, int64 (prompts * n, facts per response)."""
    prompts, facts, _ = log_policy_P_O_M.shape
    cumulative = _cumulative(log_policy_P_O_M)[:, None]
    uniform = torch.rand((prompts, n, facts, 1), generator=generator, dtype=torch.float64)
    return (cumulative <= uniform).sum(-1).view(prompts * n, facts)


def _tokens(log_policy_C_V: Tensor, context_B_S: Tensor, generator: torch.Generator) -> Tensor:
    """Draws from the policies of contexts, int64 (B, S)."""
    contexts, vocabulary = log_policy_C_V.shape
    # One sorted line for all contexts: that of context c is [c, c + 1).
    line = (_cumulative(log_policy_C_V) + torch.arange(contexts)[:, None]).flatten()
    uniform = torch.rand(context_B_S.shape, generator=generator, dtype=torch.float64)
    return torch.searchsorted(line, context_B_S + uniform, right=True) - vocabulary * context_B_S


def _cumulative(log_policy: Tensor) -> Tensor:
    """Cumulative probabilities, float64, that end with 1 exactly."""
    sums = log_policy.double().exp().cumsum(-1)
    return sums / sums[..., -1:]


def _tail_tokens_before(token_B_S: Tensor, world: World) -> Tensor:
    """Tail tokens among those before each fact, int64 (B, facts per response)."""
    before = token_B_S[:, : world.facts_per_response * world.style_tokens]
    return (before >= world.tail).view(len(token_B_S), world.facts_per_response, world.style_tokens).sum(-1)
