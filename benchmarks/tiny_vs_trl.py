"""The embedded trainer against TRL's GRPOTrainer: the same model, prompts and amount of work on this machine.

TRL trains a GPT-2 into which our transformer's weights are copied (the same function, checked on a batch), on the
same task with the same verifier: 64 prompts x 16 responses of up to 48 tokens a step, 16 updates of 4 prompts, no KL,
Clip-Higher, token-mean loss, no dynamic sampling on either side, the same number of threads. What counts is response
tokens trained on per second, sampling and updating included. Needs the extra `trl`: see ``make benchmark-trl``.
"""

import argparse
import statistics
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor

from benchmarks import record
from benchmarks.record import Record
from qae.advantage import group_advantages
from qae.embedded.update import update_policy
from qae.tiny.config import TinyConfig
from qae.tiny.policy import TinyPolicy
from qae.tiny.pretrain import pretrained_model
from qae.tiny.task import ChainedArithmetic
from qae.tiny.transformer.model import Block, Transformer
from sweeps.app import compose_run

TARGET = 4.0


@dataclass(frozen=True)
class Speed:
    """Response tokens trained on, seconds, and what of them was sampling."""

    tokens: int
    seconds: float
    sampling_seconds: float

    @property
    def rate(self) -> float:
        """Tokens per second, end to end."""
        return self.tokens / self.seconds


def main() -> int:
    """Time both trainers and print the ratio."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--steps", type=int, default=4)
    parser.add_argument("--repetitions", type=int, default=3, help="of both in turn")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--cache", type=Path, default=Path("runs/cache"), help="pretrained starts")
    parser.add_argument("--check", action="store_true", help=f"exit with 1 below {TARGET:g}x")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    config = tiny_config()
    arithmetic = ChainedArithmetic(config.tiny.task)
    start = pretrained_model(config, arithmetic, arguments.cache, lambda: False)
    print(f"{arguments.steps} steps of 64 prompts x 16 responses, {arguments.threads} threads")
    pairs = []
    for _ in range(arguments.repetitions):
        policy = TinyPolicy(config, arguments.cache, lambda: False)
        pairs.append((time_ours(config, policy, arguments.steps), time_trl(config, arithmetic, start, arguments.steps)))
        _show(*pairs[-1])
    ratios = tuple(ours.rate / theirs.rate for ours, theirs in pairs)
    ratio = statistics.median(ratios)
    print(f"ratio     {ratio:10.1f}x ({min(ratios):.1f} to {max(ratios):.1f}; target {TARGET:g}x)")
    record.write(
        [
            Record(
                name=f"training the embedded transformer, {arguments.threads} threads",
                ours=statistics.median(ours.rate for ours, _ in pairs),
                unit="tokens/s",
                against="TRL's GRPOTrainer",
                theirs=statistics.median(theirs.rate for _, theirs in pairs),
                ratios=ratios,
                goal=TARGET,
            )
        ]
    )
    return int(arguments.check and ratio < TARGET)


def _show(ours: Speed, theirs: Speed) -> None:
    for name, speed in (("embedded", ours), ("TRL", theirs)):
        updating = speed.seconds - speed.sampling_seconds
        print(
            f"{name:9s} {speed.rate:9.0f} tokens/s end to end, sampling {speed.tokens / speed.sampling_seconds:9.0f}, "
            f"updating {speed.tokens / updating:10.0f}; {speed.tokens} tokens"
        )


def tiny_config() -> TinyConfig:
    """The default run without dynamic sampling, which TRL does not have."""
    return TinyConfig.from_mapping(compose_run(["model=tiny", "algorithm.filter_groups.enable=false"]))


def time_ours(config: TinyConfig, policy: TinyPolicy, steps: int) -> Speed:
    """Training steps of the embedded trainer as `qae.embedded.train` takes them, one warm-up step first."""
    tokens, seconds, sampling = 0, 0.0, 0.0
    for step in range(steps + 1):
        started = time.perf_counter()
        batch = policy.batch(step)
        sampled = time.perf_counter()
        advantage = group_advantages(batch.score_B, batch.group_B, config.advantage).advantage_B
        update_policy(policy, batch, advantage, batch.responses.mask_B_T, config, step)
        if step:
            tokens += int(batch.responses.mask_B_T.sum())
            seconds += time.perf_counter() - started
            sampling += sampled - started
    return Speed(tokens, seconds, sampling)


def time_trl(config: TinyConfig, arithmetic: ChainedArithmetic, start: Transformer, steps: int) -> Speed:
    """The same steps by TRL, one warm-up step first."""
    from datasets import Dataset
    from transformers import TrainerCallback
    from trl import GRPOConfig, GRPOTrainer

    updates = config.data.train_batch_size // config.actor.ppo_mini_batch_size
    responses = config.data.train_batch_size * config.rollout.n
    problems = arithmetic.draw(config.data.train_batch_size * (steps + 1), (4, 5), np.random.default_rng(config.seed))
    tokens = arithmetic.vocabulary.tokens
    dataset = Dataset.from_list(
        [
            {"prompt": " ".join(tokens[i] for i in prompt), "answer": answer}
            for prompt, answer in zip(problems.prompt_P_S.tolist(), problems.answer_P.tolist(), strict=True)
        ]
    )
    lengths: list[int] = []

    def verified(completion_ids: list[list[int]], answer: list[int], **_: object) -> list[float]:
        width = max(map(len, completion_ids))
        ids = torch.tensor([row + [arithmetic.vocabulary.pad] * (width - len(row)) for row in completion_ids])
        lengths.extend(len(row) for row in completion_ids)
        scores: list[float] = arithmetic.verify(ids, torch.tensor(answer)).tolist()
        return scores

    class Clock(TrainerCallback):  # type: ignore[misc]  # transformers has no types here
        def __init__(self) -> None:
            self.marks: list[float] = []

        def on_step_end(self, *_: object, **__: object) -> None:
            self.marks.append(time.perf_counter())

    clock = Clock()
    with tempfile.TemporaryDirectory() as folder:
        settings = GRPOConfig(
            output_dir=folder,
            use_cpu=True,
            bf16=False,
            per_device_train_batch_size=responses // updates,
            steps_per_generation=updates,
            num_generations=config.rollout.n,
            max_completion_length=config.data.max_response_length,
            max_steps=updates * (steps + 1),
            learning_rate=config.actor.optim.lr,
            lr_scheduler_type="constant",
            temperature=config.rollout.temperature,
            beta=0.0,
            epsilon=config.actor.clip_ratio_low,
            epsilon_high=config.actor.clip_ratio_high,
            loss_type="dapo",
            gradient_checkpointing=False,
            save_strategy="no",
            logging_strategy="no",
            report_to=[],
            disable_tqdm=True,
        )
        trainer = GRPOTrainer(
            model=gpt2(start, arithmetic),
            reward_funcs=verified,
            args=settings,
            train_dataset=dataset,
            processing_class=tokenizer(arithmetic),
            callbacks=[clock],
        )
        sampling = timed_generation(trainer)
        trainer.train()
    return Speed(
        tokens=sum(lengths[responses:]),
        seconds=clock.marks[-1] - clock.marks[updates - 1],
        sampling_seconds=sum(sampling[1:]),
    )


def timed_generation(trainer: Any) -> list[float]:  # noqa: ANN401  # TRL's trainer is not typed
    """Make the trainer note how long each of its generation calls takes; returns the list that it fills."""
    seconds: list[float] = []
    generate = trainer._generate_and_score_completions  # where TRL samples and verifies

    def timed(*arguments: object, **options: object) -> object:
        started = time.perf_counter()
        result = generate(*arguments, **options)
        seconds.append(time.perf_counter() - started)
        return result

    trainer._generate_and_score_completions = timed
    return seconds


def tokenizer(arithmetic: ChainedArithmetic) -> Any:  # noqa: ANN401  # transformers is not typed
    """A tokenizer with our vocabulary; words are separated by spaces."""
    from tokenizers import Tokenizer
    from tokenizers.models import WordLevel
    from tokenizers.pre_tokenizers import WhitespaceSplit
    from transformers import PreTrainedTokenizerFast

    v = arithmetic.vocabulary
    words = Tokenizer(WordLevel({token: i for i, token in enumerate(v.tokens)}, unk_token=v.tokens[v.pad]))
    words.pre_tokenizer = WhitespaceSplit()
    return PreTrainedTokenizerFast(
        tokenizer_object=words, eos_token=v.tokens[v.end], pad_token=v.tokens[v.pad], padding_side="left"
    )


def gpt2(ours: Transformer, arithmetic: ChainedArithmetic) -> Any:  # noqa: ANN401  # transformers is not typed
    """A GPT-2 that computes what our transformer computes."""
    from transformers import GPT2Config, GPT2LMHeadModel

    c, v = ours.config, arithmetic.vocabulary
    theirs = GPT2LMHeadModel(
        GPT2Config(
            vocab_size=len(v),
            n_positions=ours.length,
            n_embd=c.width,
            n_layer=c.layers,
            n_head=c.heads,
            activation_function="relu",
            resid_pdrop=0.0,
            embd_pdrop=0.0,
            attn_pdrop=0.0,
            tie_word_embeddings=False,
            bos_token_id=None,
            eos_token_id=v.end,
            pad_token_id=v.pad,
        )
    )
    with torch.no_grad():
        body = theirs.transformer
        copies: list[tuple[Any, Tensor]] = [
            (body.wte.weight, ours.embedding.weight),
            (body.wpe.weight, ours.position.weight),
            (theirs.lm_head.weight, ours.head.weight),
            *((getattr(body.ln_f, name), getattr(ours.norm, name)) for name in ("weight", "bias")),
        ]
        for block, module in zip(body.h, ours.blocks, strict=True):
            mine = cast("Block", module)
            copies += [
                *((getattr(block.ln_1, n), getattr(mine.attention_norm, n)) for n in ("weight", "bias")),
                *((getattr(block.ln_2, n), getattr(mine.feed_forward_norm, n)) for n in ("weight", "bias")),
                (block.attn.c_attn.weight, mine.attention_in.weight.T),
                (block.attn.c_proj.weight, mine.attention_out.weight.T),
                (block.mlp.c_fc.weight, mine.feed_forward_in.weight.T),
                (block.mlp.c_fc.bias, mine.feed_forward_in.bias),
                (block.mlp.c_proj.weight, mine.feed_forward_out.weight.T),
                (block.mlp.c_proj.bias, mine.feed_forward_out.bias),
            ]
        for target, source in copies:
            target.copy_(source)
        for bias in (bias for block in body.h for bias in (block.attn.c_attn.bias, block.attn.c_proj.bias)):
            bias.zero_()
        ids = torch.randint(2, len(v), (4, arithmetic.prompt_length))
        torch.testing.assert_close(theirs(ids).logits, ours(ids), atol=1e-4, rtol=1e-4)
    return theirs


if __name__ == "__main__":
    sys.exit(main())
