"""Trainers are plug-ins: the package of docs/trainers.md, built from the page, trains; broken ones get a sentence."""

import io
import os
import re
import signal
import subprocess
import sys
import time
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path

import orjson
import pytest
from rich.console import Console

from qae.errors import ConfigError
from qae.run_directory import RunDirectory, RunState, RunStatus, read_evaluations, read_metrics
from slurm.request import request_of
from sweeps import trainers
from sweeps.launching.local import side_by_side
from sweeps.launching.plan import Job, make_plan
from sweeps.launching.tables import plan_table
from sweeps.run_store.identity import run_id
from sweeps.run_store.store import RunStore
from sweeps.trainers.protocol import Trainer
from tests import ROOT
from tests.support.configs import embedded_mapping, tiny_mapping, verl_mapping
from tests.support.processes import python

pytestmark = [pytest.mark.slow, pytest.mark.long]

PAGE = ROOT / "docs" / "trainers.md"
_FILE = re.compile(r"```\w+\n# (\S+/?\S*\.(?:py|toml|yaml))\n(.*?)```", re.DOTALL)
_LIGHT = """
import sys
from pathlib import Path
from sweeps import trainers
from sweeps.app import compose_run
config = compose_run(["model=bandit", "sweep.dry_run=true"])
trainers.of(config).check(config, Path.exists)
print([name for name in ("torch", "verl", "wandb", "pandas", "matplotlib") if name in sys.modules])
"""


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The page's package, built as its pyproject.toml says and installed into a folder."""
    source, target = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("installed")
    for name, content in _FILE.findall(PAGE.read_text()):
        (source / name).parent.mkdir(parents=True, exist_ok=True)
        (source / name).write_text(content)
    build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(source / "dist")]
    subprocess.run(build, cwd=source, check=True, capture_output=True)
    (wheel,) = (source / "dist").glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(target)
    return target


def environment(packages: Sequence[Path], root: Path) -> dict[str, str]:
    """Of a process with packages installed, and runs in a folder."""
    path = [*map(str, packages), str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]
    return {**os.environ, "PYTHONPATH": os.pathsep.join(path), "QAE_RUNS": str(root), "COLUMNS": "200"}


def start(packages: Sequence[Path], root: Path, *arguments: str) -> subprocess.Popen[str]:
    return python(*arguments, **environment(packages, root))


def run(packages: Sequence[Path], root: Path, *arguments: str) -> tuple[int, str]:
    process = start(packages, root, *arguments)
    output, _ = process.communicate(timeout=300)
    return process.returncode, output


def numbers(directory: RunDirectory) -> object:
    clock = ("time", "timing_s/")
    lines = [{k: v for k, v in line.items() if not k.startswith(clock)} for line in read_metrics(directory).records]
    return lines, read_evaluations(directory).records


def by_id(root: Path) -> dict[str, object]:
    return {directory.run_id: numbers(directory) for directory in RunStore(root).runs()}


SWEEP = ("sweep.py", "-m", "model=bandit", "tracking=none", "algorithm.quantile_k=-1,0.4")
LONG = ("trainer.total_training_steps=500", "trainer.save_freq=40", "trainer.test_freq=200")


def test_the_pages_trainer_runs_a_sweep_whose_runs_are_killed_continued_and_tabulated(
    package: Path, tmp_path: Path
) -> None:
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    code, output = run([package], whole, *SWEEP, *LONG)
    assert code == 0, output
    assert "Plan of sweep 'quantile_k': 2 runs" in output
    for directory in RunStore(whole).runs():
        assert directory.read_state().status is RunStatus.DONE
        (attempt,) = orjson.loads(directory.provenance.read_bytes())["attempts"]
        assert attempt["versions"]["bandit-trainer"] == "0.1"

    process = start([package], killed, *SWEEP, *LONG)
    victim = _under_way(killed, process)
    os.kill(victim, signal.SIGKILL)
    output, _ = process.communicate(timeout=300)
    assert process.returncode == 1, output
    assert "killed by SIGKILL" in output
    process = start([package], killed, *SWEEP, *LONG)
    output, _ = process.communicate(timeout=300)
    assert process.returncode == 0, output
    assert {d.read_state().attempt for d in RunStore(killed).runs()} == {1, 2}
    assert by_id(killed) == by_id(whole)

    code, table = run([package], killed, "-m", "sweeps.cli", "table", "--csv")
    assert code == 0, table
    rows = [line for line in table.splitlines() if line.startswith(("mean", "K = 0.4"))]
    assert len(rows) == 2, table
    assert run([package], killed, *SWEEP, *LONG, "sweep.dry_run=true")[1].count("done") >= 2


def _under_way(root: Path, process: subprocess.Popen[str]) -> int:
    """The process of a run that has a checkpoint behind it and a good part of its steps before it."""
    deadline = time.monotonic() + 150
    while time.monotonic() < deadline and process.poll() is None:
        for directory in RunStore(root).runs():
            state = directory.read_state()
            if state.status is RunStatus.RUNNING and state.step >= 50 and state.pid is not None:
                return state.pid
        time.sleep(0.01)
    raise AssertionError("no run was under way")


def test_the_pages_trainer_is_forked_by_the_guard_and_known_to_the_doctor(package: Path, tmp_path: Path) -> None:
    forking = ("guard=entropy", "guard.dead_learning.steps=1", "guard.dead_learning.action=fork", "bandit.lr=100")
    code, output = run(
        [package], tmp_path, "sweep.py", "model=bandit", "tracking=none", "trainer.save_freq=1", *forking
    )
    assert "goes on from step" in output, (code, output)
    assert len(RunStore(tmp_path).runs()) == 2
    code, output = run([package], tmp_path, "-m", "sweeps.cli", "doctor", "model=bandit", "tracking=none")
    assert "model=bandit" in output
    assert "Ray" not in output


def test_a_folder_of_options_on_the_command_line_will_do_and_mistakes_are_sentences(
    package: Path, tmp_path: Path
) -> None:
    plain = tmp_path / "plain"  # as a package without a file in hydra_plugins
    plain.mkdir()
    for name in ("bandit_trainer", "bandit_trainer-0.1.dist-info"):
        (plain / name).symlink_to(package / name)
    root, dry = tmp_path / "runs", "sweep.dry_run=true"
    with_folder = ("sweep.py", "--config-dir", str(package / "bandit_trainer" / "conf"))
    assert run([plain], root, *with_folder, "model=bandit", dry)[0] == 0
    for arguments, says in {
        (*SWEEP, dry, "bandit.lr=-1"): "bandit.lr=-1",
        (*SWEEP, dry, "controller=entropy_band"): "controller",
        (*SWEEP, dry, "++bandit.arms=3"): "bandit=",
        ("sweep.py", "backend=bandits", dry): "did you mean bandit?",
        ("sweep.py", "backend=[bandit]", dry): "choose one of bandit, tabular, tiny, verl",
    }.items():
        code, output = run([package], root, *arguments)
        assert code == 2, output
        assert says in output
        assert "Traceback" not in output
    assert not root.exists()
    light = run([package], root, "-c", _LIGHT)
    assert light == (0, "[]\n")


def installed(folder: Path, package: str, value: str, code: str = "", name: str = "theirs") -> Path:
    """A package that defines a trainer, as an installer leaves it."""
    info = folder / f"{package.replace('-', '_')}-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package}\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(f"[{trainers.GROUP}]\n{name} = {value}\n")
    (folder / f"{value.partition(':')[0]}.py").write_text(code)
    return folder


_TRAINER = "from sweeps.trainers import Trainer\nclass T(Trainer):\n    def check(self, config, exists): pass\n"


@pytest.mark.parametrize(
    ("module", "code", "says"),
    [
        ("gone_1", "import a_module_that_is_not_here", "a_module_that_is_not_here"),
        ("gone_2", "raise RuntimeError('no\\nlicence')", "no licence"),
        ("gone_3", "x = 1", "attribute"),
        ("gone_4", _TRAINER, "train"),  # abstract still
        ("gone_5", "class T: pass", "no sweeps.trainers.Trainer"),
        ("gone_6", "(", "SyntaxError"),
    ],
)
def test_a_package_that_cannot_be_loaded_is_named_with_its_error(
    module: str, code: str, says: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(str(installed(tmp_path, "their-trainer", f"{module}:T", code, module)))
    with pytest.raises(ConfigError) as refused:
        trainers.of({"backend": module})
    assert (refused.value.key, refused.value.value) == ("backend", module)
    assert "their-trainer" in str(refused.value)
    assert says in str(refused.value)
    assert "\n" not in str(refused.value)


def test_a_name_of_two_packages_is_refused_and_ours_cannot_be_taken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for place, package in enumerate(("one-trainer", "other-trainer")):
        monkeypatch.syspath_prepend(str(installed(tmp_path / str(place), package, f"twice_{place}:T", name="twice")))
    with pytest.raises(ConfigError, match="one-trainer and other-trainer"):
        trainers.of({"backend": "twice"})
    monkeypatch.syspath_prepend(str(installed(tmp_path / "tiny", "thief", "thief:T", name="tiny")))
    assert type(trainers.of({"backend": "tiny"})).__module__ == "sweeps.trainers.embedded"


@pytest.mark.parametrize("name", [None, 3, ["tiny"], "tinny", ""])
def test_an_unknown_name_is_refused_with_those_that_are_there(name: object) -> None:
    with pytest.raises(ConfigError, match="choose one of tabular, tiny, verl") as refused:
        trainers.of({"backend": name})
    assert refused.value.key == "backend"


def test_plans_of_our_own_trainers_read_no_entry_points(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(**_: object) -> None:
        raise AssertionError("entry points were read")

    monkeypatch.setattr("importlib.metadata.entry_points", refuse)
    for config in (embedded_mapping(), tiny_mapping(), verl_mapping()):
        assert isinstance(trainers.of(config), Trainer)
        assert trainers.package_of(config) is None


_RUNS = """
import sys
from sweeps.worker.job import run_in_worker
run_in_worker(sys.argv[1], "s", 0)
"""


@pytest.mark.parametrize("returned", ["None", "True"])
def test_a_trainer_that_ends_without_its_step_has_failed(returned: str, tmp_path: Path) -> None:
    code = f"{_TRAINER}    def train(self, attempt): return {returned}\n"
    package = installed(tmp_path / "package", "their-trainer", "no_step:T", code)
    reason = _failure(package, tmp_path)
    assert "theirs" in reason
    assert "last finished step" in reason


def test_a_run_whose_package_is_not_there_fails_with_a_sentence(tmp_path: Path) -> None:
    assert "choose one of" in _failure(tmp_path, tmp_path)


def _failure(package: Path, folder: Path) -> str:
    """The reason of a run of ``backend: theirs`` that a worker failed."""
    directory = RunDirectory(folder / "runs" / "0123456789ab")
    directory.path.mkdir(parents=True)
    config: Mapping[str, object] = {**embedded_mapping("tracking.backend=none"), "backend": "theirs"}
    directory.config.write_text(orjson.dumps(config).decode())  # JSON is YAML
    code, output = run([package], directory.path.parent, "-c", _RUNS, str(directory.path))
    state = directory.read_state()
    assert (code, state.status, state.attempt) == (1, RunStatus.FAILED, 1), output
    return str(state.reason)


def test_launchers_and_plans_ask_a_strangers_trainer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    code = (
        f"{_TRAINER}    def train(self, attempt): return 0\n"
        "    def step_gpu_seconds(self, config): return 7200.0 if self.gpus(config) else None\n"
    )
    monkeypatch.syspath_prepend(str(installed(tmp_path / "package", "their-trainer", "asked:T", code, "asked")))
    on_cpu = {**embedded_mapping("tracking.backend=none", "resources.threads=3"), "backend": "asked"}
    on_gpus = {**embedded_mapping("tracking.backend=none", "resources.gpus_per_node=2", "seed=1"), "backend": "asked"}
    requests = [request_of(config) for config in (on_cpu, on_gpus)]
    assert [request.option("cpus-per-task") for request in requests] == ["3", "16"]
    assert [request.option("gpus-per-node") for request in requests] == [None, "2"]
    assert side_by_side(on_gpus) == 1

    store = RunStore(tmp_path / "runs")
    nobodys = store.directory("0123456789ab")
    nobodys.path.mkdir(parents=True)
    nobodys.config.write_text("backend: a_trainer_that_is_not_installed_any_more\n")
    nobodys.write_state(RunState(RunStatus.DONE))
    plan = make_plan([Job((), on_cpu), Job((), on_gpus)], store, name="x", retry=False)
    assert [run.gpu_hours for run in plan.runs] == [None, 2.0 * plan.runs[1].total_steps]
    console = Console(width=200, file=io.StringIO())
    console.print(plan_table(plan))
    assert "3 threads" in console.file.getvalue()  # type: ignore[attr-defined]  # a StringIO
    assert "1x2 GPUs" in console.file.getvalue()  # type: ignore[attr-defined]


def test_run_ids_of_a_strangers_runs_count_every_key_of_theirs() -> None:
    config = {**embedded_mapping(), "bandit": {"lr": 1.0}}
    assert run_id(config) != run_id({**config, "bandit": {"lr": 2.0}})
