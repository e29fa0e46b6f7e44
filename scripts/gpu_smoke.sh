#!/usr/bin/env bash
# Ten minutes on one GPU: does the path of the large models work on this machine? A Qwen3 with random weights generates
# with vllm, trains under FSDP, is stopped after a step with a checkpoint, and goes on from it.
#
#   scripts/gpu_smoke.sh                      on one GPU (srun --gpus=1 --cpus-per-task=8 --mem=40G scripts/gpu_smoke.sh)
#   scripts/gpu_smoke.sh qwen3-random-tiny    the same on a CPU, with verl's trainer and without vllm
#
# Runs go to QAE_RUNS (runs/gpu-smoke where it is not set). The exit status is 0 where everything held.
set -euo pipefail
cd "$(dirname "$0")/.."
MODEL=${1:-qwen3-random-400m}
STEPS=4
export QAE_RUNS=${QAE_RUNS:-runs/gpu-smoke}
PYTHON=${PYTHON:-.venv/bin/python}
COMMAND=("$PYTHON" sweep.py "model=$MODEL" algorithm.quantile_k=0.4 tracking=none sweep.name=gpu-smoke
  "trainer.total_training_steps=$STEPS" trainer.save_freq=1 trainer.test_freq=2)

status() { # a field of the run's line of `qae status --json`; empty before there is one
  "$PYTHON" -m sweeps.cli status gpu-smoke --json 2>/dev/null | sed -n "s/.*\"$1\": \"\{0,1\}\([^\",]*\).*/\1/p" | tail -n 1
}

echo "1/4  qae doctor"
"$PYTHON" -m sweeps.cli doctor "model=$MODEL" tracking=none

echo "2/4  training until the first step, then Ctrl-C"
set -m # else the launch would ignore Ctrl-C, as commands in the background do
"${COMMAND[@]}" &
LAUNCH=$!
trap 'kill -TERM $LAUNCH 2>/dev/null || true' EXIT
while kill -0 $LAUNCH 2>/dev/null && [ "$(status step || true)" \< 1 ]; do sleep 2; done
kill -INT $LAUNCH 2>/dev/null || true
wait $LAUNCH || true
BEFORE=$(status step)
[ "$BEFORE" -ge 1 ] || { echo "gpu_smoke: no step was finished; the log is named above" >&2; exit 1; }

echo "3/4  the same command goes on from step $BEFORE"
"${COMMAND[@]}"
trap - EXIT

echo "4/4  metrics and checkpoints"
"$PYTHON" - "$QAE_RUNS/$(status id)" "$STEPS" <<'CHECK'
import json, math, pathlib, sys

run, steps = pathlib.Path(sys.argv[1]), int(sys.argv[2])
records = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
trained = [record for record in records if "actor/entropy" in record]
seen = [record["step"] for record in trained]
assert seen == list(range(1, steps + 1)), f"steps in metrics.jsonl: {seen}"
assert all(math.isfinite(record["actor/entropy"]) for record in trained), "entropy is not finite"
assert any("val/overall/pass@1" in record for record in records), "no validation"
assert list((run / "checkpoints").rglob("*.pt")), "no checkpoint"
print(f"all of it held: {steps} steps, each once; entropy {trained[0]['actor/entropy']:.2f} to {trained[-1]['actor/entropy']:.2f}")
CHECK
