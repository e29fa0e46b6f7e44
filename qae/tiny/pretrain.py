"""The supervised start: the transformer learns to imitate the imperfect teacher, once for all runs that share it."""

import fcntl
import hashlib
import math
import random
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path

import numpy as np
import orjson
import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor

from qae.embedded import checkpoint
from qae.files import tensor_files
from qae.run_directory import write_atomic
from qae.tiny import task
from qae.tiny.config import TinyConfig
from qae.tiny.task import ChainedArithmetic
from qae.tiny.transformer import model
from qae.tiny.transformer.model import Transformer

# The number of threads changes the order of additions, so it is fixed and not taken from the machine.
_THREADS = 2
_WARMUP_STEPS = 50
_FINAL_LR_SHARE = 0.05
_POLL_SECONDS = 0.2


class PretrainingStoppedError(Exception):
    """A stop was asked for before the supervised start was ready; nothing of it is kept."""


def pretrained_model(
    config: TinyConfig, arithmetic: ChainedArithmetic, cache: Path, should_stop: Callable[[], bool]
) -> Transformer:
    """The supervised start of a run, from the cache or made now.

    Workers that start at the same time wait for the one that makes it.

    Args:
        config: the run; its `tiny` section, response length and this package's code name the cached file.
        arithmetic: the task.
        cache: directory of the cached starts.
        should_stop: asked while waiting and while training.

    Raises:
        PretrainingStoppedError: `should_stop` said yes.
        ForeignFileError: the cached start is another user's.
    """
    path = cache / f"pretrained-{_fingerprint(config)}.pt"
    transformer = _fresh_model(config, arithmetic)
    with _exclusive(path.with_suffix(".lock"), should_stop):
        if not path.exists() or tensor_files.flaw(path):
            _train(transformer, config, arithmetic, should_stop)
            write_atomic(path, checkpoint.to_bytes(transformer.state_dict()))
    transformer.load_state_dict(checkpoint.read(path))
    return transformer


def _fresh_model(config: TinyConfig, arithmetic: ChainedArithmetic) -> Transformer:
    torch.manual_seed(config.tiny.pretrain.seed)
    length = arithmetic.prompt_length + config.data.max_response_length
    return Transformer(len(arithmetic.vocabulary), length, config.tiny.model)


def _fingerprint(config: TinyConfig) -> str:
    """Hash of all that decides the start: settings, the code that makes it, torch's version."""
    settings = {
        "tiny": asdict(config.tiny),
        "max_response_length": config.data.max_response_length,
        "torch": str(torch.__version__),
    }
    digest = hashlib.sha256(orjson.dumps(settings, option=orjson.OPT_SORT_KEYS))
    for source in (Path(__file__), Path(str(model.__file__)), Path(str(task.__file__))):
        digest.update(source.read_bytes())
    return digest.hexdigest()[:12]


@contextmanager
def _exclusive(path: Path, should_stop: Callable[[], bool]) -> Iterator[None]:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as file:
        # Not a blocking lock: that one would sit out a request to stop.
        while True:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if should_stop():
                    raise PretrainingStoppedError from None
                time.sleep(_POLL_SECONDS)
        yield


def _train(
    transformer: Transformer, config: TinyConfig, arithmetic: ChainedArithmetic, should_stop: Callable[[], bool]
) -> None:
    settings = config.tiny.pretrain
    sequences_N_S, lengths_N = _sequences(config, arithmetic)
    optimizer = torch.optim.AdamW(
        transformer.parameters(), lr=settings.lr, betas=(0.9, 0.98), weight_decay=0.01, fused=True
    )
    batches = _batches(len(lengths_N), settings.batch_size, settings.steps, settings.seed)
    first, pad = arithmetic.prompt_length, arithmetic.vocabulary.pad
    threads = torch.get_num_threads()
    torch.set_num_threads(_THREADS)
    try:
        for step, rows in enumerate(batches):
            if should_stop():
                raise PretrainingStoppedError
            optimizer.param_groups[0]["lr"] = settings.lr * _schedule(step, settings.steps)
            ids_B_S = sequences_N_S[rows, : first + int(lengths_N[rows].max())]
            logits_B_T_V = transformer(ids_B_S[:, :-1], keep_from=first - 1)
            target_B_T = ids_B_S[:, first:]
            loss = F.cross_entropy(logits_B_T_V.flatten(0, 1), target_B_T.flatten(), ignore_index=pad)
            optimizer.zero_grad()
            loss.backward()
            torch.nn.utils.clip_grad_norm_(transformer.parameters(), 1.0)
            optimizer.step()
    finally:
        torch.set_num_threads(threads)


def _schedule(step: int, steps: int) -> float:
    """Linear warm-up, then a cosine down to a small share."""
    cosine = 0.5 * (1 + math.cos(math.pi * step / steps))
    return min(1.0, (step + 1) / _WARMUP_STEPS) * (_FINAL_LR_SHARE + (1 - _FINAL_LR_SHARE) * cosine)


def _sequences(config: TinyConfig, arithmetic: ChainedArithmetic) -> tuple[Tensor, Tensor]:
    """Prompts with the teacher's solutions: ids int64 (examples, length), response lengths int64 (examples,)."""
    settings, limit = config.tiny.pretrain, config.data.max_response_length
    fewest, most = config.tiny.task.pretrain_operations
    held_out = {key for problems in arithmetic.evaluation_sets().values() for key in problems.fingerprints()}
    problems = arithmetic.draw(settings.examples, (fewest, most), np.random.default_rng(settings.seed))
    seen = [row for row, key in enumerate(problems.fingerprints()) if key not in held_out]
    problems = problems.take(np.array(seen))
    teacher = random.Random(settings.seed)
    ids = np.full((len(problems), arithmetic.prompt_length + limit), arithmetic.vocabulary.pad)
    ids[:, : arithmetic.prompt_length] = problems.prompt_P_S
    lengths = np.zeros(len(problems), dtype=np.int64)
    for row, (operands, operators) in enumerate(zip(problems.operands_P_N, problems.operators_P_N, strict=True)):
        response = arithmetic.solve(operands, operators, teacher)[:limit]
        ids[row, arithmetic.prompt_length : arithmetic.prompt_length + len(response)] = response
        lengths[row] = len(response)
    return torch.from_numpy(ids), torch.from_numpy(lengths)


def _batches(examples: int, size: int, steps: int, seed: int) -> Iterator[Tensor]:
    """Rows of each step's batch; every example comes once an epoch."""
    generator = torch.Generator().manual_seed(seed)
    per_epoch = examples // size
    for step in range(steps):
        if step % per_epoch == 0:
            order = torch.randperm(examples, generator=generator)
        yield order[step % per_epoch * size :][:size]
