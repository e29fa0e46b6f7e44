"""Comparisons with what others use, in one run each; see README.md."""
