"""A run's values over verl's defaults, as rules ask for them."""

from collections.abc import Mapping
from dataclasses import dataclass

from qae.checks import is_number, whole_number
from qae.errors import ConfigError
from qae.nested import value_of

ESTIMATOR = "qae"  # the toolkit's, in `algorithm.adv_estimator`
UNSET = "???"  # a value that verl leaves to the user
_A = "actor_rollout_ref.actor"


@dataclass(frozen=True)
class Run:
    """A run's own values over verl's defaults."""

    values: Mapping[str, object]
    defaults: Mapping[str, object]

    def get(self, key: str) -> object:
        """The run's value, else verl's default, else None."""
        if key in self.values:
            return self.values[key]
        return value_of(self.defaults, key)

    def number(self, key: str) -> float:
        """A number that must be there."""
        value = self.get(key)
        if not is_number(value):
            raise ConfigError(key, value, "give a number")
        return value

    def count(self, key: str) -> int:
        """A whole number above 0."""
        return whole_number(key, self.get(key), 1)

    def require(self, holds: object, key: str, fix: str) -> None:
        """Refuse the value of a key where a condition does not hold."""
        if not holds:
            raise ConfigError(key, self.get(key), fix)

    @property
    def strategy(self) -> str:
        """The actor's engine: fsdp, fsdp2, megatron and others."""
        return str(self.get(f"{_A}.strategy"))

    @property
    def gpus(self) -> int:
        """GPUs of all nodes."""
        return self.count("trainer.n_gpus_per_node") * self.count("trainer.nnodes")

    @property
    def gpus_a_replica(self) -> tuple[int, str]:
        """GPUs that hold one copy of the data-parallel actor, and the keys that say so."""
        if self.strategy == "megatron":
            names = ("tensor_model_parallel_size", "pipeline_model_parallel_size", "context_parallel_size")
            product = 1
            for name in names:
                product *= self.count(f"{_A}.megatron.{name}")
            return product, f"{_A}.megatron's tensor x pipeline x context parallel size"
        key = f"{_A}.ulysses_sequence_parallel_size"
        return self.count(key), key
