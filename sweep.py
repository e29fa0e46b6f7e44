"""`python sweep.py -m …`: plan, run and report a sweep. The composition root: it joins sweeps and analysis."""

import sys

from sweeps import app


def main() -> int:
    """Run the sweep or the single run of the command line and show its results.

    Returns:
        exit status: 0, 1 where runs failed, 2 for a mistyped command, 130 where the user stopped it.
    """
    outcome = app.main()
    if outcome is None:
        return 0
    if outcome.is_search:
        from rich.console import Console

        from analysis import study

        study.show(outcome.root, outcome.sweep, Console(), most=20)
    elif outcome.run_ids:
        from analysis.closing import show

        show(outcome.root, outcome.run_ids, outcome.root / "figures" / outcome.sweep)
    return outcome.exit_code


if __name__ == "__main__":
    sys.exit(main())
