"""From composed jobs to results: plan, executors, progress, what it costs."""
