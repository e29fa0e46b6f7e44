"""Rollout on a CPU: a Ray actor that samples with transformers, behind verl's rollout interfaces."""

import asyncio
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import ray
import torch
from torch import Tensor
from verl.workers.rollout.base import BaseRollout
from verl.workers.rollout.replica import RolloutReplica, TokenOutput

_GATHER_SECONDS = 0.02  # requests that come within this time are sampled together
_LARGEST_BATCH = 256


@dataclass(frozen=True)
class _Request:
    prompt: Sequence[int]
    parameters: tuple[tuple[str, object], ...]
    answer: "asyncio.Future[TokenOutput]"


@dataclass(frozen=True)
class _Sampled:
    tokens: list[int]
    log_probs: list[float]


class Server:
    """Holds the policy's weights and samples from it, requests of equal parameters together."""

    def __init__(self, model_path: str, response_length: int, seed: int) -> None:
        from transformers import AutoConfig, AutoModelForCausalLM

        torch.set_num_threads(1)
        config = AutoConfig.from_pretrained(model_path)
        self._model = AutoModelForCausalLM.from_config(config, attn_implementation="sdpa").eval()
        self._end = int(config.eos_token_id)
        self._response_length = response_length
        self._generator = torch.Generator().manual_seed(seed)
        self._global_steps = 0
        self._waiting: list[_Request] = []
        self._sampling: asyncio.Task[None] | None = None

    async def update_weights(self, weights: Mapping[str, Tensor], global_steps: int | None) -> list[str]:
        """Take the policy's weights; names that the model does not know come back."""
        result = self._model.load_state_dict(weights, strict=False)
        self._model.tie_weights()
        self._global_steps = global_steps or 0
        return list(result.unexpected_keys)

    async def generate(
        self, request_id: str, prompt_ids: Sequence[int], sampling_params: Mapping[str, object], **_: object
    ) -> TokenOutput:
        """One response to a prompt."""
        answer: asyncio.Future[TokenOutput] = asyncio.get_running_loop().create_future()
        parameters = tuple(sorted((name, value) for name, value in sampling_params.items()))
        self._waiting.append(_Request(list(prompt_ids), parameters, answer))
        if self._sampling is None or self._sampling.done():
            self._sampling = asyncio.create_task(self._sample_waiting())
        return await answer

    async def _sample_waiting(self) -> None:
        await asyncio.sleep(_GATHER_SECONDS)
        while self._waiting:
            parameters = self._waiting[0].parameters
            alike = [request for request in self._waiting if request.parameters == parameters][:_LARGEST_BATCH]
            self._waiting = [request for request in self._waiting if request not in alike]
            settings = dict(parameters)
            try:
                sampled = self._sample([request.prompt for request in alike], settings)
            except Exception as error:  # whoever waits for the answer must hear of it
                for request in alike:
                    request.answer.set_exception(error)
                continue
            for request, response in zip(alike, sampled, strict=True):
                request.answer.set_result(
                    TokenOutput(
                        token_ids=response.tokens,
                        log_probs=response.log_probs if settings.get("logprobs") else None,
                        stop_reason="completed",
                        extra_fields={"global_steps": self._global_steps},
                    )
                )
            await asyncio.sleep(0)

    @torch.inference_mode()
    def _sample(self, prompts: Sequence[Sequence[int]], settings: Mapping[str, object]) -> list[_Sampled]:
        longest = max(map(len, prompts))
        ids = torch.tensor([[0] * (longest - len(prompt)) + list(prompt) for prompt in prompts])
        mask = torch.tensor([[0] * (longest - len(prompt)) + [1] * len(prompt) for prompt in prompts])
        limit = int(str(settings.get("max_tokens") or settings.get("max_new_tokens") or self._response_length))
        position = (mask.cumsum(-1) - 1).clamp(min=0)
        responses = [_Sampled([], []) for _ in prompts]
        done = torch.zeros(len(prompts), dtype=torch.bool)
        past = None
        for _ in range(limit):
            output = self._model(
                input_ids=ids, attention_mask=mask, position_ids=position, past_key_values=past, use_cache=True
            )
            past = output.past_key_values
            log_probs = _log_probs(output.logits[:, -1].float(), settings)
            chosen = torch.multinomial(log_probs.exp(), 1, generator=self._generator)[:, 0]
            for row in (~done).nonzero()[:, 0].tolist():
                responses[row].tokens.append(int(chosen[row]))
                responses[row].log_probs.append(float(log_probs[row, chosen[row]]))
            done |= chosen == self._end
            if bool(done.all()):
                break
            ids = chosen[:, None]
            mask = torch.cat([mask, torch.ones_like(ids)], 1)
            position = mask.sum(-1, keepdim=True) - 1
        return responses

    async def wake_up(self) -> None: ...

    async def sleep(self) -> None: ...

    async def abort_all_requests(self, reject_request: bool = False) -> None: ...

    async def resume_generation(self) -> None: ...

    async def clear_kv_cache(self) -> None: ...

    async def release_kv_cache(self) -> None: ...

    async def resume_kv_cache(self) -> None: ...

    async def start_profile(self, **_: object) -> None: ...

    async def stop_profile(self) -> None: ...


def _log_probs(logits: Tensor, settings: Mapping[str, object]) -> Tensor:
    """Log-probabilities (batch, vocabulary) at the request's temperature and top-p; all on one token at T = 0."""
    temperature, top_p = float(str(settings.get("temperature", 1.0))), float(str(settings.get("top_p", 1.0)))
    if temperature <= 0:
        only = torch.full_like(logits, float("-inf"))
        return only.scatter(1, logits.argmax(-1, keepdim=True), 0.0)
    logits = logits / temperature
    if top_p < 1:
        ordered, order = logits.sort(-1, descending=True)
        share = ordered.softmax(-1)
        beyond = share.cumsum(-1) - share >= top_p
        logits = logits.masked_fill(torch.zeros_like(beyond).scatter(1, order, beyond), float("-inf"))
    return logits.log_softmax(-1)


class InProcessReplica(RolloutReplica):
    """Starts the server as an actor without a device."""

    async def launch_servers(self) -> None:
        path = self.model_config["path"] if isinstance(self.model_config, Mapping) else self.model_config.path
        server = ray.remote(num_cpus=1, max_concurrency=1000, name=_name(self.replica_rank))(Server)
        seed = int(self.config.seed) + int(self.replica_rank)
        self._server_handle = server.remote(path, int(self.config.response_length), seed)
        self.servers = [self._server_handle]
        self._server_address = _name(self.replica_rank)

    def rollout_worker_use_gpu(self) -> bool:
        return False


class WeightSender(BaseRollout):
    """The trainer's end: sends the actor's weights to the server."""

    def __init__(self, config: object, model_config: object, device_mesh: object, replica_rank: int = -1) -> None:
        super().__init__(config, model_config, device_mesh)
        world = self.config.tensor_model_parallel_size * self.config.data_parallel_size
        self.replica_rank = int(os.environ["RANK"]) // world if replica_rank == -1 else replica_rank
        self.is_leader_rank = True

    async def resume(self, tags: object) -> None: ...

    async def release(self) -> None: ...

    async def update_weights(
        self, weights: Iterable[tuple[str, Tensor]], global_steps: int | None = None, **_: object
    ) -> None:
        """Copy the weights over.

        Raises:
            RuntimeError: the server's model has no place for one.
        """
        state = {name: value.detach().to("cpu", torch.float32).clone() for name, value in weights}
        unknown = await ray.get_actor(_name(self.replica_rank)).update_weights.remote(state, global_steps)
        if unknown:
            raise RuntimeError(f"the rollout's model does not know {', '.join(unknown)}")


def _name(rank: int) -> str:
    return f"hf_cpu_server_{rank}"
