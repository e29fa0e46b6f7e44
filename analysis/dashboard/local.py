"""The same runs in Trackio, a dashboard on this machine without an account.

Trackio keeps a project in an SQLite file. It is written anew at each call: what it shows is what the runs hold now.
"""

import contextlib
import io
import os
import re
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from analysis.dashboard.panels import GROUPED_BY
from analysis.runs.frames import RunRecord, Runs
from qae import metrics
from qae.console.text import file_name

if TYPE_CHECKING:
    from trackio.sqlite_storage import SQLiteStorage

_CONFIG = (*GROUPED_BY, "labels.model", "seed")


class Dashboard(Protocol):
    """A dashboard that is being served."""

    def close(self) -> None:
        """Stop serving it."""
        ...


def write(runs: Runs, name: str, folder: Path) -> str:
    """Write the runs as a project of Trackio's.

    Args:
        runs: the runs.
        name: of the project; letters, digits, - and _ of it are kept.
        folder: where Trackio keeps its files.

    Returns:
        the project's name.
    """
    storage = _storage(folder)
    project = file_name(re.sub(r"[^\w-]+", "-", name, flags=re.ASCII), "runs")
    storage.get_project_db_path(project).unlink(missing_ok=True)
    for record in runs.records:
        own = runs.metrics[runs.metrics["run"] == record.id]
        own = own[own["name"] != metrics.GLOBAL_STEP.name]
        wide = own.pivot_table(index="step", columns="name", values="value", aggfunc="last", observed=True)
        storage.bulk_log(
            project,
            f"{record.arm.shown}, seed {record.seed}",
            [row.dropna().to_dict() for _, row in wide.iterrows()],
            steps=[int(step) for step in wide.index],
            config=_config(record),
            run_id=record.id,
        )
    return project


def serve(project: str, folder: Path, *, port: int | None, browser: bool) -> tuple[Dashboard, str]:
    """Serve a project on this machine only.

    Returns:
        the dashboard and its address.
    """
    _storage(folder)
    import trackio

    # It prints a link that lets its holder change the project.
    with contextlib.redirect_stdout(io.StringIO()):
        dashboard, address, _, _ = trackio.show(
            project, open_browser=browser, block_thread=False, host="127.0.0.1", share=False, server_port=port
        )
    return dashboard, f"{str(address).rstrip('/')}/?project={project}"


def _storage(folder: Path) -> "type[SQLiteStorage]":
    """Trackio's storage in a folder of ours; its place is read once, when it is imported."""
    folder.mkdir(parents=True, exist_ok=True)
    os.environ["TRACKIO_DIR"] = str(folder.resolve())
    from trackio.sqlite_storage import SQLiteStorage
    from trackio.utils import TRACKIO_DIR

    if Path(TRACKIO_DIR) != folder.resolve():
        raise RuntimeError(f"Trackio was imported before and keeps its files in {TRACKIO_DIR}, not in {folder}")
    return SQLiteStorage


def _config(record: RunRecord) -> dict[str, object]:
    """What its table shows, and by which runs can be grouped; names that begin with _ are Trackio's."""
    own = {key: record.config[key] for key in _CONFIG if record.config.get(key) is not None}
    return {**own, "_Group": record.arm.shown, "_Created": datetime.now(UTC).isoformat(), "_Username": None}
