"""Dashboards of runs, as code: on W&B, and local without an account."""
