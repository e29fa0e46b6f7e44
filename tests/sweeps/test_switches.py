"""W&B's own switches: in doubt nothing leaves the machine, and a user's word on where it goes counts."""

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from qae.errors import ConfigError
from qae.run_directory import RunDirectory
from qae.tracking import wandb_environment
from sweeps.run_store.identity import run_id
from sweeps.run_store.store import RunStore
from sweeps.verl import run as verl_run
from sweeps.worker import tracking
from tests import ROOT
from tests.support.configs import QUICK, embedded_mapping

pytestmark = pytest.mark.long

AUTO: Mapping[str, object] = {"backend": "wandb", "mode": "auto", "project": None, "entity": None}
KEY = "0" * 40


@pytest.fixture(autouse=True)
def clean(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A user with a key, in an empty folder, who has set nothing else."""
    for name in list(os.environ):
        if name.startswith("WANDB_") or name == "NETRC":
            monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("WANDB_API_KEY", KEY)
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize(
    ("word", "mode"),
    [
        ("dryrun", "offline"),
        ("offline", "offline"),
        ("OFFLINE", "offline"),
        (" Offline ", "offline"),
        ("disabled", "disabled"),
        ("Disabled", "disabled"),
        ("online", "online"),
        ("run", "online"),
        ("shared", "online"),
        ("", "online"),  # as if it were not set: the key decides
    ],
)
def test_a_mode_means_what_it_means_to_the_client(word: str, mode: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WANDB_MODE", word)
    assert tracking.wandb_mode("auto") == mode
    assert tracking.uses_wandb({"tracking": AUTO}) == (mode != "disabled")


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=1))
def test_a_mode_that_nobody_knows_keeps_everything_here(word: str) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("WANDB_MODE", word)
        if word.lower() not in ("online", "run", "shared"):
            assert tracking.wandb_mode("auto") in ("offline", "disabled")
        where = tracking.destination(AUTO)
        assert where is not None
        assert word in str(where)


@pytest.mark.parametrize("word", ["true", "1", "TRUE", "yes", "on", "y", "anything"])
def test_disabled_is_off_whatever_else_is_set(word: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WANDB_DISABLED", word)
    monkeypatch.setenv("WANDB_MODE", "online")
    assert {tracking.wandb_mode(mode) for mode in ("auto", "online", "offline")} == {"disabled"}
    assert "WANDB_DISABLED" in str(tracking.destination(AUTO))


@pytest.mark.parametrize("word", ["false", "0", "no", "off", "", "False"])
def test_not_disabled_is_not_off(word: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WANDB_DISABLED", word)
    assert tracking.wandb_mode("auto") == "online"


@pytest.mark.slow
@pytest.mark.parametrize("command", ["offline", "disabled"])
def test_the_clients_commands_hold_in_their_folder(command: str) -> None:
    assert tracking.wandb_mode("auto") == "online"
    subprocess.run([sys.executable, "-m", "wandb", command], check=True, capture_output=True)
    assert tracking.wandb_mode("auto") == command
    subprocess.run([sys.executable, "-m", "wandb", "online"], check=True, capture_output=True)
    assert tracking.wandb_mode("auto") == "online"


def test_settings_of_the_user_are_read_below_those_of_the_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = tmp_path / ".config" / "wandb" / "settings"
    own.parent.mkdir(parents=True)
    own.write_text("[default]\nmode = offline\nentity = team\nproject = mine\n")
    here = tmp_path / "wandb" / "settings"
    here.parent.mkdir()
    here.write_text("[default]\nproject = of the folder\n")
    where = tracking.destination(AUTO)
    assert where is not None
    assert (where.mode, where.entity, where.project) == ("offline", "team", "of the folder")
    monkeypatch.setenv("WANDB_PROJECT", "of the shell")
    monkeypatch.setenv("WANDB_ENTITY", "me")
    where = tracking.destination(AUTO)
    assert where is not None
    assert (where.entity, where.project) == ("me", "of the shell")
    where = tracking.destination({**AUTO, "project": "typed", "entity": "ours"})
    assert where is not None
    assert (where.entity, where.project) == ("ours", "typed")
    assert "ours/typed" in str(where)


def launched(config: Mapping[str, object], *arguments: str) -> tuple[Mapping[str, object], tracking.Destination]:
    """A configuration as a launch writes it, and where it says that tracking goes."""
    (config,), (where,) = tracking.for_launch([config], arguments)
    return config, where


def test_who_types_online_means_it_and_a_file_does_not(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WANDB_MODE", "offline")
    config = embedded_mapping("tracking.mode=online")
    assert launched(config, "sweep.py", "-m", "tracking.mode=online")[1].mode == "online"
    assert launched(config, "sweep.py", "-m")[1].mode == "offline"


def test_what_a_launch_was_told_holds_in_a_job_that_is_told_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    config = embedded_mapping()
    monkeypatch.setenv("WANDB_DISABLED", "true")
    off, _ = launched(config)
    monkeypatch.delenv("WANDB_DISABLED")
    monkeypatch.setenv("WANDB_PROJECT", "of the shell")
    online, _ = launched(config)
    monkeypatch.delenv("WANDB_PROJECT")
    assert not tracking.uses_wandb(off)
    assert tracking.uses_wandb(online)
    assert launched(online)[1].project == "of the shell"
    monkeypatch.setenv("WANDB_MODE", "disabled")  # a job may be told to give away less
    assert not tracking.uses_wandb(online)
    assert run_id(config) == run_id(off) == run_id(online)


def test_a_launch_that_is_repeated_looks_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WANDB_MODE", "offline")
    first, _ = launched(embedded_mapping())
    monkeypatch.delenv("WANDB_MODE")
    assert launched(first)[1].mode == "online"


@pytest.mark.slow
def test_each_place_is_said_once_and_untracked_runs_have_none() -> None:
    configs = [embedded_mapping(*own) for own in ((), (), ("tracking.project=other",), ("tracking.backend=none",))]
    written, places = tracking.for_launch(configs, [])
    assert [place.project for place in places] == ["qae", "other"]
    assert written[3]["tracking"] == configs[3]["tracking"]


@pytest.mark.parametrize("project", ["a/b", "what?", "x" * 129, "a:b"])
def test_a_project_that_the_client_refuses_is_refused_before_anything_starts(
    project: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(ConfigError, match=r"tracking\.project"):
        tracking.destination({**AUTO, "project": project})
    monkeypatch.setenv("WANDB_PROJECT", project)
    with pytest.raises(ConfigError, match="WANDB_PROJECT"):
        tracking.destination(AUTO)


@pytest.mark.slow
@pytest.mark.parametrize(
    "switches",
    [
        {"WANDB_MODE": "OFFLINE"},
        {"WANDB_MODE": "dryrun"},
        {"WANDB_MODE": "offlien"},
        {"WANDB_MODE": ""},
        {"WANDB_BASE_URL": "not an address"},
        {"WANDB_API_KEY": f" {KEY}"},
        {"WANDB_CONSOLE": "nonsense", "WANDB_PROJECT": ""},
        {"WANDB_RESUME_FROM": "other?_step=3"},
    ],
)
def test_the_client_records_here_whatever_it_would_refuse(switches: Mapping[str, str], tmp_path: Path) -> None:
    run = tmp_path / "run"
    run.mkdir()
    code = (
        "import sys, pathlib\nfrom qae.run_directory import RunDirectory\nfrom sweeps.worker import tracking\n"
        "t = tracking.start({'backend': 'tiny', 'tracking': {'backend': 'wandb', 'mode': 'auto'}},"
        " RunDirectory(pathlib.Path(sys.argv[1])), 's')\nt.log(1, {'a': 1.0})\nt.finish(failed=False)\n"
    )
    environment = {name: value for name, value in os.environ.items() if not name.startswith("WANDB_")}
    # Nobody listens on the discard port, should it be tried.
    unreachable = {"WANDB_BASE_URL": "http://127.0.0.1:9", "WANDB_API_KEY": KEY, "WANDB_INIT_TIMEOUT": "5"}
    done = subprocess.run(
        [sys.executable, "-c", code, str(run)],
        env={**environment, "PYTHONPATH": str(ROOT), **unreachable, **switches},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert list(run.glob("wandb/offline-run-*/*.wandb")), done.stderr


@pytest.mark.slow
def test_a_plan_says_where_tracking_goes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def plan(*arguments: str) -> str:
        command = [sys.executable, str(ROOT / "sweep.py"), "-m", "sweep.dry_run=true", f"sweep.root={tmp_path}/runs"]
        done = subprocess.run([*command, *arguments], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout

    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.setenv("WANDB_PROJECT", "theirs")
    monkeypatch.setenv("WANDB_ENTITY", "team")
    assert "online, to team/theirs" in plan()
    monkeypatch.setenv("WANDB_MODE", "dryrun")
    assert "WANDB_MODE=dryrun" in plan()
    monkeypatch.setenv("WANDB_DISABLED", "true")
    assert "W&B: off (WANDB_DISABLED=true)" in plan()
    assert "W&B" not in plan("tracking=none")


@pytest.mark.slow
def test_a_run_is_recorded_under_the_users_project_and_nothing_is_sent(tmp_path: Path) -> None:
    switches = {"WANDB_MODE": "dryrun", "WANDB_PROJECT": "theirs", "WANDB_ENTITY": "team"}
    done = subprocess.run(
        [sys.executable, str(ROOT / "sweep.py"), *QUICK],
        env={**os.environ, "QAE_RUNS": str(tmp_path / "runs"), "PYTHONPATH": str(ROOT), **switches},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    (run,) = RunStore(tmp_path / "runs").runs()
    description = _description(run)
    assert (description["entity"], description["project"]) == ("team", "theirs")


def test_what_verl_starts_reports_no_usage_unless_asked_to(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    names = ("RAY_USAGE_STATS_ENABLED", "VLLM_NO_USAGE_STATS", "HF_HUB_DISABLE_TELEMETRY")
    for name in names:
        monkeypatch.delenv(name, raising=False)
    directory = RunDirectory(tmp_path)
    assert [verl_run.environment({}, directory)[name] for name in names] == ["0", "1", "1"]
    monkeypatch.setenv("RAY_USAGE_STATS_ENABLED", "1")
    assert verl_run.environment({}, directory)["RAY_USAGE_STATS_ENABLED"] == "1"


def test_a_netrc_that_cannot_be_read_holds_no_key(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("WANDB_API_KEY")
    (tmp_path / ".netrc").write_bytes(b"machine \xff\xfe api.wandb.ai \n")
    assert not wandb_environment.has_key()


def _description(run: RunDirectory) -> Mapping[str, object]:
    (path,) = (run.path / "wandb").glob("offline-run-*/*.wandb")
    shown = subprocess.run(
        [sys.executable, "-m", "wandb", "leet", "inspect", "--json", str(path)],
        capture_output=True,
        text=True,
        check=True,
    )
    records = [json.loads(line) for line in shown.stdout.splitlines() if line.startswith("{")]
    (description,) = [record["run"] for record in records if record["type"] == "run"]
    assert isinstance(description, dict)
    return description
