"""What a configuration asks of sbatch, and which runs share an array."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qae.errors import ConfigError
from qae.run_directory import RunDirectory, RunState
from slurm.queue.client import Limits
from slurm.request import Container, Request, Runtime, grouped, request_of
from slurm.submit import chunks
from sweeps.composition import tree
from sweeps.launching import needs
from sweeps.launching.plan import Action, PlannedRun
from tests.support.configs import TREE, embedded_mapping, verl_mapping


def planned(number: int, config: dict[str, object]) -> PlannedRun:
    name = f"{number:012x}"
    return PlannedRun(name, (), config, RunDirectory(Path("/nowhere") / name), RunState(), 6, Action.START, name)


def small(memory: object = "1G", **slurm: object) -> dict[str, object]:
    resources = {"nodes": 1, "threads": 1, "walltime": 10, "memory": memory}
    return {"backend": "tiny", "resources": resources, "slurm": slurm}


def test_a_run_on_a_cpu_asks_for_its_threads_and_the_signal_of_the_batch_step() -> None:
    options = dict(request_of(embedded_mapping("resources.threads=3")).options)
    assert options == {
        "nodes": "1",
        "ntasks-per-node": "1",
        "cpus-per-task": "3",
        "mem": "2G",
        "time": "0-04:00:00",
        "signal": "B:USR2@120",
    }


@pytest.mark.slow
def test_a_model_on_gpus_asks_for_its_nodes_gpus_memory_and_time() -> None:
    request = request_of(verl_mapping("slurm.partition=gpu", "slurm.account=me"))
    assert {
        name: request.option(name)
        for name in ("nodes", "gpus-per-node", "cpus-per-task", "mem", "time", "partition", "account")
    } == {
        "nodes": "4",
        "gpus-per-node": "8",
        "cpus-per-task": "64",
        "mem": "0",
        "time": "2-00:00:00",
        "partition": "gpu",
        "account": "me",
    }
    assert "exclusive" in dict(request.options)
    part = dict(request_of(verl_mapping("model=qwen3-8b-base-4gpus")).options)
    assert (part["nodes"], part["gpus-per-node"], part["cpus-per-task"], part["mem"]) == ("1", "4", "32", "400G")
    assert "exclusive" not in part
    assert needs.memory_bytes(verl_mapping("model=qwen3-8b-base-4gpus")) < 400 * needs.GIB


@pytest.mark.slow
def test_cores_and_whole_nodes_can_be_set_and_left_to_the_cluster() -> None:
    def options(*typed: str) -> dict[str, str | None]:
        return dict(request_of(verl_mapping(*typed)).options)

    assert options("resources.cpus_per_gpu=12")["cpus-per-task"] == "96"
    assert options("slurm.cpus_per_task=5")["cpus-per-task"] == "5"
    assert "cpus-per-task" not in options("resources.cpus_per_gpu=null")
    assert "exclusive" not in options("resources.exclusive=false")
    assert "exclusive" not in options("+slurm.options.exclusive=null")
    with pytest.raises(ConfigError, match="cpus_per_gpu"):
        options("resources.cpus_per_gpu=0")
    with pytest.raises(ConfigError, match="exclusive"):
        options("resources.exclusive=maybe")


def test_gres_takes_the_place_of_gpus() -> None:
    request = request_of(verl_mapping("slurm.gres=gpu:h100:8"))
    assert (request.option("gres"), request.option("gpus-per-node")) == ("gpu:h100:8", None)
    assert request.option("cpus-per-task") == "64"


def test_any_other_option_passes_through_and_null_takes_one_away() -> None:
    options = {"mail_type": "END", "exclusive": True, "nice": 100, "mem": None, "time": "1:00:00", "overcommit": False}
    request = request_of(small(options=options))
    found = dict(request.options)
    assert found["mail-type"] == "END"
    assert found["exclusive"] is None
    assert (found["nice"], found["time"]) == ("100", "1:00:00")
    assert not {"mem", "overcommit"} & set(found)


@pytest.mark.parametrize(
    ("config", "key"),
    [
        (small(options={"array": "0-9"}), "slurm.options.array"),
        (small(options={"job_name": "x"}), "slurm.options.job_name"),
        (small(options={"Mail Type": "x"}), "slurm.options.Mail Type"),
        (small(options={"comment": "two\nlines"}), "slurm.options.comment"),
        (small(partition="gpu\n#SBATCH --wrap=x"), "slurm.partition"),
        (small(partition=["a"]), "slurm.partition"),
        (small(memory=True), "resources.memory"),
        (small(throttle=0), "slurm.throttle"),
        (small(throttle="many"), "slurm.throttle"),
        (small(setup="module load x"), "slurm.setup"),
        (small(signal_seconds=-1), "slurm.signal_seconds"),
        (small(attempts={"crashes": 1}), "slurm.attempts.crashes"),
        (small(container={"runtime": "docker", "image": "x"}), "slurm.container.runtime"),
        (small(container={"runtime": "pyxis", "image": None}), "slurm.container.image"),
        ({**small(), "resources": {"threads": 1, "walltime": "tomorrow"}}, "resources.walltime"),
        ({**small(), "resources": {"threads": 1, "walltime": 0}}, "resources.walltime"),
        ({**small(), "slurm": "gpu"}, "slurm"),
    ],
)
def test_what_sbatch_could_not_use_is_refused_with_its_key(config: dict[str, object], key: str) -> None:
    with pytest.raises(ConfigError) as refused:
        request_of(config)
    assert refused.value.key == key


def test_a_container_is_read() -> None:
    section = {"runtime": "apptainer", "image": "/images/a.sif", "mounts": ["/data:/data"], "python": "python3"}
    assert request_of(small(container=section)).container == Container(
        Runtime.APPTAINER, "/images/a.sif", ("/data:/data",), "python3"
    )


@pytest.mark.slow
@pytest.mark.parametrize("site", sorted(path.stem for path in (TREE / "site").glob("*.yaml")))
def test_every_site_is_a_request_and_sets_only_how_to_run(site: str) -> None:
    assert set(tree.written(TREE / "site" / f"{site}.yaml")) <= {"slurm", "resources"}
    assert request_of(verl_mapping(f"site={site}")).option("nodes") == "4"


@pytest.mark.slow
@given(st.lists(st.tuples(st.sampled_from(["1G", "2G", "4G"]), st.sampled_from([None, "low", "high"])), max_size=30))
def test_runs_of_one_request_share_a_group_and_none_is_lost(asked: list[tuple[str, str | None]]) -> None:
    runs = [planned(i, small(memory, partition=partition)) for i, (memory, partition) in enumerate(asked)]
    groups = grouped(runs)
    assert len(groups) == len(set(asked))
    assert sorted(run.run_id for group in groups.values() for run in group) == sorted(run.run_id for run in runs)
    for request, group in groups.items():
        assert all(request_of(run.config) == request for run in group)
        assert [run.run_id for run in group] == sorted(run.run_id for run in group)  # in the order of the sweep


@given(
    runs=st.integers(1, 200),
    array=st.integers(1, 70),
    submit=st.one_of(st.none(), st.integers(1, 300)),
    throttle=st.one_of(st.none(), st.integers(1, 50)),
)
def test_arrays_fit_the_cluster_and_share_the_throttle(
    runs: int, array: int, submit: int | None, throttle: int | None
) -> None:
    wanted = [planned(i, small()) for i in range(runs)]
    arrays = chunks(wanted, Request((), throttle=throttle), Limits(array, submit))
    assert [run for _, part in arrays for run in part] == wanted
    assert all(0 < len(part) <= min(array, submit or array) for _, part in arrays)
    shares = [request.throttle for request, _ in arrays]
    if throttle is None:
        assert set(shares) == {None}
    else:
        assert sum(share or 0 for share in shares) == max(throttle, len(arrays))
