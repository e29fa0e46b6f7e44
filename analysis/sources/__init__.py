"""Where runs come from: one module a source, each returning `analysis.runs.Runs`."""
