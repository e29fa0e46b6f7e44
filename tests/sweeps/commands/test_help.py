"""`qae --help`: one line per command, for commands of other packages too, without importing them."""

import subprocess
import sys
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path

import pytest
from click.testing import CliRunner

from sweeps.cli import main
from sweeps.commands.summaries import summary
from tests import ROOT

GROUP = "qae.commands"


def test_every_command_says_what_it_does() -> None:
    shown = CliRunner().invoke(main, ["--help"]).output
    for point in entry_points(group=GROUP):
        line = next(line for line in shown.splitlines() if line.split()[:1] == [point.name])
        assert summary(point, 62) in line
        assert "--help" not in line
        assert line.endswith(".")


@pytest.mark.slow
def test_nothing_of_them_is_imported() -> None:
    code = (
        "import sys; from sweeps.cli import main\n"
        "try:\n    main(['--help'])\nexcept SystemExit:\n    pass\n"
        "print([name for name in ('pandas', 'matplotlib', 'analysis.figures', 'torch') if name in sys.modules])"
    )
    result = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert result.stdout.splitlines()[-1] == "[]"


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ('def run() -> None:\n    """Draw one thing. And more."""\n', "Draw one thing."),
        ('@command(short_help="Short.")\ndef run():\n    """Long."""\n', "Short."),
        ("def run():\n    pass\n", "see `qae mine --help`"),
        ("def other():\n    '''No.'''\n", "see `qae mine --help`"),
        ("def run(:\n", "see `qae mine --help`"),
    ],
)
def test_a_strangers_command_is_described_by_its_source(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, source: str, expected: str
) -> None:
    name = f"stranger_{abs(hash(source))}"
    (tmp_path / f"{name}.py").write_text(source)
    monkeypatch.syspath_prepend(tmp_path)
    assert summary(EntryPoint("mine", f"{name}:run", GROUP), 62) == expected
    assert name not in sys.modules


def test_a_package_that_is_gone_is_no_traceback() -> None:
    assert summary(EntryPoint("mine", "no_such_package.commands:run", GROUP), 62) == "see `qae mine --help`"
