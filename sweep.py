"""`python sweep.py -m …`: plan, run and report a sweep. The composition root: it joins sweeps and analysis."""

import sys

from qae.console import home, streams
from sweeps import app


def main() -> int:
    """Run the sweep or the single run of the command line and show its results, also where nobody reads along.

    Returns:
        exit status: 0, 1 where runs failed, 2 for a mistyped command, 130 where the user stopped it.
    """
    home.settle()
    with streams.guarded(lasts=True):
        return _main()


def _main() -> int:
    outcome = app.main()
    if outcome is None:
        return 0
    if outcome.is_search:
        from analysis import study
        from qae.console import terminal

        study.show(outcome.root, outcome.sweep, terminal.console(), most=20)
    elif outcome.run_ids:
        from analysis.commands.closing import show

        show(outcome.root, outcome.run_ids, outcome.sweep)
    return outcome.exit_code


if __name__ == "__main__":
    sys.exit(main())
