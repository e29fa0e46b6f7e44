"""What the description of a batch costs verl's driver at the paper's size, against padded copies of its fields.

    python -m benchmarks.driver

512 prompts x 16 responses of 6,300 tokens on average and 20,480 at most; an eighth of them is described and the numbers
are scaled, since all of them padded do not fit into a laptop. Each way runs in a process of its own.
"""

import argparse
import json
import resource
import subprocess
import sys
import time

import numpy as np
import torch
from torch import Tensor

from benchmarks import record
from benchmarks.record import Record
from qae.config import AdvantageConfig
from qae.diagnostics import token_sums
from qae.tokens.statistics import count_words, high_entropy_tokens
from qae.verl_plugin.recording.description import describe
from qae.verl_plugin.recording.outputs import Outputs

_RESPONSES, _SHARE, _GROUP, _MEAN, _LONGEST = 8_192, 8, 16, 6_300, 20_480
_MARKERS = {token: f"word {token}" for token in range(60)}
_ROWS_AT_A_TIME = 512
Row = dict[str, Tensor]


def rows() -> list[Row]:
    """Outputs as the transfer queue holds them."""
    random = np.random.default_rng(0)
    lengths = np.minimum(random.gamma(1.5, _MEAN / 1.4, _RESPONSES // _SHARE), _LONGEST).astype(int) + 1
    generator = torch.Generator().manual_seed(0)
    return [
        {
            "responses": torch.randint(0, 150_000, (length,), generator=generator),
            "response_mask": torch.ones(length, dtype=torch.int64),
            "entropy": torch.rand(length, generator=generator),
            "advantages": torch.ones(length),
            "rm_scores": torch.nn.functional.pad(
                torch.randint(0, 2, (1,), generator=generator).float(), (length - 1, 0)
            ),
        }
        for length in lengths.tolist()
    ]


def nested(part: list[Row]) -> dict[str, Tensor]:
    """Rows behind each other, as the transfer queue hands them out."""
    return {name: torch.nested.nested_tensor([row[name] for row in part], layout=torch.jagged) for name in part[0]}


def without_padding(batch: list[Row]) -> Outputs:
    """As the toolkit's trainers do."""
    starts = range(0, len(batch), _ROWS_AT_A_TIME)
    return Outputs.joined([Outputs.of(nested(batch[first : first + _ROWS_AT_A_TIME])) for first in starts])


def padded(batch: list[Row]) -> Outputs:
    """With a padded copy of each field, and what masks cost on them."""
    whole = {name: field.to_padded_tensor(0) for name, field in nested(batch).items()}
    mask_B_T = whole["response_mask"].bool()
    entropy_B_T = whole["entropy"].masked_fill(~mask_B_T, 0.0)
    return Outputs(
        whole["rm_scores"].sum(1),
        whole["advantages"].gather(1, mask_B_T.int().argmax(1, keepdim=True))[:, 0],
        mask_B_T.sum(1),
        token_sums(entropy_B_T, mask_B_T),
        whole["responses"][mask_B_T],
        entropy_B_T[mask_B_T],
    )


def measure(way: str) -> None:
    """Print CPU seconds and peak memory above the batch itself, of the whole batch."""
    batch = rows()
    uids = np.repeat(np.arange(len(batch) // _GROUP), _GROUP).astype(str).astype(object)
    before, start = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.process_time()
    outputs = padded(batch) if way == "padded" else without_padding(batch)
    describe(outputs, uids, AdvantageConfig(quantile_k=0.4))
    high_entropy_tokens(outputs.ids_N, outputs.entropy_N, str)
    if way == "padded":
        [int((outputs.ids_N == token).sum()) for token in _MARKERS]
    else:
        count_words(outputs.ids_N, _MARKERS)
    seconds = time.process_time() - start
    gigabytes = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 2**20
    print(json.dumps({"seconds": seconds * _SHARE, "gigabytes": gigabytes * _SHARE}))


def main() -> None:
    """Both ways, three times in turn; medians and their ratios."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("way", nargs="?", choices=["padded", "without padding"], help="measure this way alone, once")
    if way := parser.parse_args().way:
        measure(way)
        return
    found: dict[str, list[dict[str, float]]] = {"padded": [], "without padding": []}
    for _ in range(3):
        for way, measured in found.items():
            command = [sys.executable, "-m", "benchmarks.driver", way]
            done = subprocess.run(command, capture_output=True, text=True, check=True)  # noqa: S603  # ourselves
            measured.append(json.loads(done.stdout))
    median = {
        way: {unit: float(np.median([one[unit] for one in measured])) for unit in measured[0]}
        for way, measured in found.items()
    }
    for way, values in median.items():
        print(f"{way:16} {values['seconds']:6.1f} CPU-s a step  {values['gigabytes']:5.1f} GiB above the batch")
    for unit in ("seconds", "gigabytes"):
        print(f"{unit}: {median['padded'][unit] / median['without padding'][unit]:.1f}x less")
    record.write(
        Record(
            name=f"describing a batch of {_RESPONSES:,} verl responses, {_MEAN:,} tokens on average",
            ours=median["without padding"][unit],
            unit=shown,
            against="padded copies of its fields",
            theirs=median["padded"][unit],
            ratios=tuple(p[unit] / o[unit] for p, o in zip(found["padded"], found["without padding"], strict=True)),
            note=f"1/{_SHARE} of it scaled",
        )
        for unit, shown in (("seconds", "CPU-s"), ("gigabytes", "GiB above the batch"))
    )


if __name__ == "__main__":
    main()
