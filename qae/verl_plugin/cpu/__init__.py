"""A development aid: verl's real trainer on a machine without a GPU, for ``model=qwen3-random-tiny``.

What verl lacks for that, and no more: a CPU platform, an in-process rollout on transformers (``rollout.name=hf_cpu``)
and a reward that a model with random weights can learn. Loaded only with QAE_VERL_CPU=1; nothing here runs on GPUs.
"""

import os

# The FSDP engine is registered for cuda; nothing of it needs a GPU.
_ENGINE = {"VERL_ENGINE_DEVICE": "cuda", "VERL_ENGINE_VENDOR": "nvidia"}


def install() -> None:
    """Make this process's verl compute on the CPU."""
    os.environ.update(_ENGINE)
    from qae.verl_plugin.cpu import platform

    platform.install()
    from verl.workers.rollout import base
    from verl.workers.rollout.replica import RolloutReplicaRegistry

    base._ROLLOUT_REGISTRY["hf_cpu", "async"] = "qae.verl_plugin.cpu.rollout.WeightSender"
    RolloutReplicaRegistry.register("hf_cpu", _replica)


def _replica() -> type[object]:
    from qae.verl_plugin.cpu.rollout import InProcessReplica

    return InProcessReplica
