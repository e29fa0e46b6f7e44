"""Comparisons with what others use, in one run each; see docs/performance.md."""
