"""Ports, the network between nodes, and W&B."""

from collections.abc import Sequence
from dataclasses import dataclass

from sweeps.doctor.findings import Finding, Level
from sweeps.launching.needs import Needs

RAY_PORTS = {6379: "Ray's head node", 8265: "Ray's dashboard"}


def judge_ports(needs: Needs, taken: Sequence[int]) -> Finding:
    """Ray's ports; `taken` are those of `RAY_PORTS` that something listens on."""
    if not taken:
        return Finding("Ray ports", Level.OK, f"{', '.join(map(str, RAY_PORTS))} free")
    names = ", ".join(f"{port} ({RAY_PORTS[port]})" for port in taken)
    fix = "`ray stop` ends a cluster of yours; verl would join it otherwise"
    return Finding("Ray ports", Level.FAIL if needs.nodes > 1 else Level.WARN, f"{names} taken", fix)


def judge_wandb(needs: Needs, host: str, *, reached: bool) -> Finding:
    """W&B: never a reason to fail."""
    if needs.wandb in (None, "disabled"):
        return Finding("W&B", Level.OK, "off")
    if needs.wandb == "offline":
        return Finding("W&B", Level.OK, "offline, as no key is set or it was asked for (`wandb login` sets one)")
    if not reached:
        return Finding(
            "W&B", Level.WARN, f"{host} does not answer", "runs record offline; `wandb sync` sends them later"
        )
    return Finding("W&B", Level.OK, f"key found, {host} answers")


@dataclass(frozen=True)
class Network:
    """How a node reaches others.

    Attributes:
        interfaces: that are up, without loopback and those of containers.
        fabrics: devices of InfiniBand or RoCE.
        chosen: NCCL_SOCKET_IFNAME; None where it is not set.
    """

    interfaces: tuple[str, ...]
    fabrics: tuple[str, ...]
    chosen: str | None


def judge_network(needs: Needs, network: Network) -> list[Finding]:
    """What NCCL and Gloo will use between nodes; of several of them."""
    if needs.nodes < 2 or not needs.gpus:
        return []
    names = ", ".join(network.interfaces) or "none"
    over = f"{', '.join(network.fabrics)}" if network.fabrics else "TCP: no InfiniBand or RoCE device"
    message = f"interfaces {names}; gradients go over {over}"
    if network.chosen is not None:
        return [_judge_chosen(network, network.chosen, message)]
    if len(network.interfaces) > 1:
        fix = "name the one that all nodes share: `export NCCL_SOCKET_IFNAME=… GLOO_SOCKET_IFNAME=…`, in slurm.setup"
        return [Finding("network", Level.WARN, f"{message}; NCCL picks one of them", fix)]
    if not network.fabrics:
        return [Finding("network", Level.WARN, message, "expect slow steps, or ask which partition has a fast network")]
    return [Finding("network", Level.OK, message)]


def _judge_chosen(network: Network, chosen: str, message: str) -> Finding:
    """NCCL's rules: prefixes, `=` for whole names, `^` for what is left out (NCCL, Environment Variables)."""
    names = chosen.lstrip("^=").split(",")
    whole = chosen.lstrip("^").startswith("=")
    named = [
        one for one in network.interfaces if any(one == name or (not whole and one.startswith(name)) for name in names)
    ]
    if chosen.startswith("^") or named:
        return Finding("network", Level.OK, f"{message}; NCCL_SOCKET_IFNAME={chosen}")
    fix = "set it to one of the interfaces, in slurm.setup"
    return Finding("network", Level.FAIL, f"{message}; NCCL_SOCKET_IFNAME={chosen} names none of them", fix)
