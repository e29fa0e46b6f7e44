"""Figures as files: the same on one core and on several, laid out once, whole or not at all."""

import io
import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from matplotlib.backend_bases import RendererBase
from matplotlib.figure import Figure

from analysis import drawing, figures
from analysis.drawing import Form
from analysis.figures import paper, style
from analysis.figures.missing import MissingDataError
from analysis.runs.frames import Runs
from analysis.sources import run_store
from tests.analysis.stores import write_sweep

pytestmark = pytest.mark.slow

NAMES = ("entropy_and_pass", "advantage_shares", "fig4b", "noise_control")
# A process of its own: pytest's workers have threads, beside which figures are drawn one after another.
DRAW = """
import sys
from pathlib import Path
from analysis import drawing
from analysis.sources import run_store

store, folder, number = Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3])
if number == 1:
    drawing.processes = lambda count: 1
else:
    print(drawing.processes(2))
drawing.write(run_store.load(store), sys.argv[4:], folder, ("png", "svg", "pdf"), source="a test")
"""


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A sweep of three arms and two seeds."""
    folder = tmp_path_factory.mktemp("store")
    write_sweep(folder)
    return folder


@pytest.fixture(scope="module")
def runs(store: Path) -> Runs:
    return run_store.load(store)


def test_files_are_the_same_on_one_core_and_on_several(store: Path, tmp_path: Path) -> None:
    for number in (1, 2):
        command = [sys.executable, "-c", DRAW, str(store), str(tmp_path / str(number)), str(number), *NAMES]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        assert done.stderr == ""
    assert int(done.stdout) == min(2, len(os.sched_getaffinity(0)))
    one, several = ({path.name: path.read_bytes() for path in (tmp_path / n).iterdir()} for n in ("1", "2"))
    assert one.keys() == several.keys()
    assert {Path(name).stem for name in one} == set(NAMES) - {"noise_control"}
    assert one == several


def test_another_thread_forbids_forks() -> None:
    ended = threading.Event()
    thread = threading.Thread(target=ended.wait)
    thread.start()
    try:
        assert drawing.processes(24) == 1
    finally:
        ended.set()
        thread.join()


def test_results_come_in_the_order_asked_for_and_once(runs: Runs) -> None:
    drawn = drawing.draw_all(runs, ("fig4b", "noise_control", "entropy_and_pass", "fig4b"), "a test", Form(("png",)))
    assert [figure.name for figure in drawn] == ["fig4b", "noise_control", "entropy_and_pass"]
    assert [bool(figure.left_out) for figure in drawn] == [False, True, False]
    assert [set(figure.files) for figure in drawn] == [{"png"}, set(), {"png"}]


def _drawings(figure: Figure, suffix: str) -> int:
    """How often saving goes through the figure's first axes."""
    axes, count = figure.axes[0], 0
    original = axes.draw

    def counted(renderer: RendererBase) -> None:
        nonlocal count
        count += 1
        original(renderer)

    axes.draw = counted  # type: ignore[method-assign]
    style.save(figure, io.BytesIO(), suffix)
    return count


@pytest.mark.parametrize("suffix", ["png", "svg", "pdf"])
def test_a_settled_figure_is_drawn_once(runs: Runs, suffix: str) -> None:
    loose, settled = (figures.draw("entropy_and_pass", runs, "a test") for _ in range(2))
    style.settle(settled)
    assert _drawings(loose, suffix) == 2
    assert _drawings(settled, suffix) == 1


def test_settling_leaves_every_text_inside_the_figure(runs: Runs) -> None:
    for name in (*figures.names(), *paper.names()):
        try:
            figure = figures.draw(name, runs, "a test")
        except MissingDataError:
            continue
        style.settle(figure)
        box = figure.get_tightbbox()
        width, height = figure.get_size_inches()
        assert box.x0 > -0.02, name
        assert box.y0 > -0.02, name
        assert box.x1 < width + 0.02, name
        assert box.y1 < height + 0.02, name


FAIL = """
import os
import sys
from pathlib import Path
from analysis import drawing
from analysis.drawing import Form
from analysis.sources import run_store

drawing.processes = lambda count: 2
parent = os.getpid()
original = drawing._draw

def draw(runs, source, form, name):
    {failure}
    return original(runs, source, form, name)

drawing._draw = draw
with drawing.begun(run_store.load(Path(sys.argv[1])), sys.argv[2:], "a test", Form(("png",))) as drawn:
    {work}
    print(len(drawn()))
"""


@pytest.mark.parametrize(
    ("failure", "work", "said"),
    [
        (
            "if os.getpid() != parent: raise ValueError('a figure failed')",
            "__import__('time').sleep(2)",
            "a figure failed",
        ),
        ("if os.getpid() != parent: os._exit(9)", "__import__('time').sleep(2)", "BrokenProcessPool"),
        ("pass", "raise ValueError('the tables failed')", "the tables failed"),
    ],
)
def test_what_fails_in_either_process_ends_both(store: Path, failure: str, work: str, said: str) -> None:
    command = [sys.executable, "-c", FAIL.format(failure=failure, work=work), str(store), *NAMES]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=600)
    assert done.returncode == 1
    assert said in done.stderr
    assert done.stdout == ""
