"""The task: chained modular arithmetic, solved left to right on a scratchpad.

A prompt is ``7+5*3-8=``. A response works through it, one step an operation: a few filler words (``so``, ``now``,
``let`` …, which do not matter for the answer), then ``a op b r``; a step may be done again after ``wait``; then
``# answer``. The verifier looks at the answer only, as math verifiers do.

The teacher of the supervised start knows each fact ``(op, a, b)`` with a reliability of its own, drawn from a
Beta distribution, and otherwise has a favourite mistake. So problems differ in how often the start solves
them, and reinforcement learning has something to find out.

With `style_tokens` responses have a form: so many fillers before each step, no step done again, and behind the answer
the verifier's word. It is the end of a right response. A wrong one is told ``no`` and goes on for `failure_tokens` more
fillers. So lengths are no habit that training could change.
"""

import random
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from qae.tiny.sections import Task
from qae.tiny.transformer.form import Form

_WORDS = (
    *("so", "now", "let", "then", "thus", "since", "hence", "next", "first", "and", "ok", "also", "given", "find"),
    *("note", "compute", "if", "can", "but", "perhaps", "maybe", "hmm", "alternatively", "however"),
)
OPERATORS = "+-*"
IntArray = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Problems:
    """A batch of prompts, left-padded.

    Attributes:
        prompt_P_S: token ids, int64 (prompts, prompt length).
        answer_P: the right final digit, int64 (prompts,).
        operands_P_N: operand values, int64 (prompts, most operations + 1); -1 where a prompt has fewer.
        operators_P_N: operator indices, int64 (prompts, most operations); -1 where a prompt has fewer.
    """

    prompt_P_S: IntArray
    answer_P: IntArray
    operands_P_N: IntArray
    operators_P_N: IntArray

    def __len__(self) -> int:
        return len(self.answer_P)

    def take(self, rows: IntArray) -> "Problems":
        """The problems at some rows."""
        return Problems(self.prompt_P_S[rows], self.answer_P[rows], self.operands_P_N[rows], self.operators_P_N[rows])

    def fingerprints(self) -> list[bytes]:
        """Something hashable a problem, equal for equal prompts."""
        return [row.tobytes() for row in self.prompt_P_S]


class Vocabulary:
    """Tokens and their ids: ``. $ = # wait``, digits, operators, filler words, ``no`` where responses have a form."""

    def __init__(self, task: Task) -> None:
        digits = [np.base_repr(value, 36).lower() for value in range(task.modulus)]
        words = [_WORDS[i] if i < len(_WORDS) else f"filler{i}" for i in range(task.markers)]
        self.tokens = [".", "$", "=", "#", "wait", *digits, *OPERATORS, *words]
        self.pad, self.end, self.equals, self.answer, self.wait = range(5)
        self.first_digit = 5
        self.first_operator = 5 + task.modulus
        self.first_marker = self.first_operator + len(OPERATORS)
        self.markers = range(self.first_marker, self.first_marker + task.markers)
        self.no = self.markers.stop
        if task.style_tokens:
            self.tokens.append("no")

    def __len__(self) -> int:
        return len(self.tokens)


class ChainedArithmetic:
    """Draws problems, solves them as the teacher would, verifies responses."""

    def __init__(self, task: Task) -> None:
        self.config = task
        self.vocabulary = Vocabulary(task)
        self.most_operations = max(task.operations[1], task.pretrain_operations[1])
        self.prompt_length = 2 * self.most_operations + 2
        generator = np.random.default_rng(task.seed)
        values = np.arange(task.modulus)
        left, right = values[:, None], values[None, :]
        self.facts = np.stack([left + right, left - right, left * right]) % task.modulus
        self.reliability = generator.beta(*task.reliability, size=self.facts.shape)
        self.mistakes = (self.facts + generator.integers(1, task.modulus, self.facts.shape)) % task.modulus
        weights = (np.arange(task.markers) + 1.0) ** -task.zipf_exponent
        self._marker_weights = list(np.cumsum(weights))
        self.form = self._form() if task.style_tokens else None

    def draw(self, count: int, operations: tuple[int, int], generator: np.random.Generator) -> Problems:
        """Draw problems whose number of operations is uniform in the closed interval `operations`."""
        v, most = self.vocabulary, self.most_operations
        lengths = generator.integers(operations[0], operations[1] + 1, count)
        operands = generator.integers(0, self.config.modulus, (count, most + 1))
        operators = generator.integers(0, len(OPERATORS), (count, most))
        result = operands[:, 0].copy()
        for step in range(most):
            active = step < lengths
            result[active] = self.facts[operators[active, step], result[active], operands[active, step + 1]]
        body = np.empty((count, 2 * most + 2), dtype=np.int64)
        body[:, 0:-1:2] = v.first_digit + operands
        body[:, 1:-2:2] = v.first_operator + operators
        body[:, -1] = v.equals
        # The body of a shorter problem ends early: shift it right and put "=" behind it.
        prompt = np.full_like(body, v.pad)
        for length in range(operations[0], operations[1] + 1):
            rows = lengths == length
            prompt[rows, -(2 * length + 2) : -1] = body[rows, : 2 * length + 1]
        prompt[:, -1] = v.equals
        unused = np.arange(most)[None, :] >= lengths[:, None]
        operators[unused] = -1
        operands[:, 1:][unused] = -1
        return Problems(prompt, result, operands, operators)

    def evaluation_sets(self) -> dict[str, Problems]:
        """Held-out problems, one set for each number of operations, the same for every run of the task."""
        fewest, most = self.config.operations
        return {
            f"chain{n}": self._distinct(n, np.random.default_rng([self.config.seed, n]))
            for n in range(fewest, most + 1)
        }

    def _distinct(self, operations: int, generator: np.random.Generator) -> Problems:
        wanted = self.config.evaluation_problems
        drawn = self.draw(4 * wanted, (operations, operations), generator)
        _, first = np.unique(drawn.prompt_P_S, axis=0, return_index=True)
        if len(first) < wanted:
            raise ValueError(
                f"tiny.task.evaluation_problems={wanted} exceeds the distinct problems with {operations} operations"
            )
        return drawn.take(np.sort(first)[:wanted])

    def solve(self, operands: IntArray, operators: IntArray, generator: random.Random) -> list[int]:
        """The teacher's response to one problem: token ids, end token included."""
        v, c = self.vocabulary, self.config
        value = right_value = int(operands[0])
        response: list[int] = []
        for operator, operand in zip(operators.tolist(), operands[1:].tolist(), strict=True):
            if operator < 0:
                break
            response += self._markers(c.style_tokens or self._run_length(generator), generator)
            while True:
                result = self._recall(operator, value, operand, generator)
                response += [
                    v.first_digit + value,
                    v.first_operator + operator,
                    v.first_digit + operand,
                    v.first_digit + result,
                ]
                right = result == self.facts[operator, value, operand]
                if generator.random() >= (c.redo_right if right else c.redo_wrong):
                    break
                response.append(v.wait)
            value, right_value = result, int(self.facts[operator, right_value, operand])
        response += [v.answer, v.first_digit + value]
        if self.form is not None and value != right_value:
            return [*response, v.no, *self._markers(c.failure_tokens, generator)]
        return [*response, v.end]

    def _form(self) -> Form:
        v, c = self.vocabulary, self.config
        digit, operator = range(v.first_digit, v.first_operator), range(v.first_operator, v.first_marker)
        step = [*[v.markers] * c.style_tokens, digit, operator, digit, digit]
        answered = [*step * c.operations[0], [v.answer], digit]
        return Form.of([*answered, [], *[v.markers] * c.failure_tokens], len(v), len(answered))

    def _markers(self, count: int, generator: random.Random) -> list[int]:
        return generator.choices(self.vocabulary.markers, cum_weights=self._marker_weights, k=count)

    def _run_length(self, generator: random.Random) -> int:
        count = 1
        while generator.random() < self.config.marker_repeat:
            count += 1
        return count

    def _recall(self, operator: int, left: int, right: int, generator: random.Random) -> int:
        if generator.random() < self.reliability[operator, left, right]:
            return int(self.facts[operator, left, right])
        if generator.random() < self.config.misconception:
            return int(self.mistakes[operator, left, right])
        return generator.randrange(self.config.modulus)

    def verify(self, response_B_T: Tensor, answer_B: Tensor) -> Tensor:
        """Reward 1.0 for a response that ends in ``# answer $`` with the right answer and one ``#``, else 0.0.

        Where responses have a form it is enough to look at the answer's position.

        Args:
            response_B_T: token ids, int64 (batch, tokens), padded after the end token.
            answer_B: right digits, int64 (batch,).

        Returns:
            float32 (batch,).
        """
        v = self.vocabulary
        if self.form is not None:
            return (response_B_T[:, self.form.verdict_at - 1] == v.first_digit + answer_B).float()
        ended = response_B_T == v.end
        end_B = ended.int().argmax(1)
        rows = torch.arange(len(response_B_T))
        before = response_B_T[rows, (end_B - 1).clamp(min=0)]
        two_before = response_B_T[rows, (end_B - 2).clamp(min=0)]
        right = (
            ended.any(1)
            & (end_B >= 2)
            & (two_before == v.answer)
            & (before == v.first_digit + answer_B)
            & ((response_B_T == v.answer).sum(1) == 1)
        )
        return right.float()

    def verdict(self, response_B_T: Tensor, answer_B: Tensor) -> Tensor:
        """The verifier's word behind each answer, int64 (batch,): the end token, or ``no`` where it is wrong."""
        v = self.vocabulary
        return torch.where(self.verify(response_B_T, answer_B) > 0, v.end, v.no)
