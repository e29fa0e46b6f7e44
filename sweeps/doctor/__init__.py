"""Has a machine what a run needs? `probes` gathers facts, the other modules judge them, `command` reports.

`sweeps.launching.needs` says what the run needs.
"""
