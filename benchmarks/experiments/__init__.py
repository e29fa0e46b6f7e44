"""Experiments on many seeds: the entropy guard, the advice, the search, the coverage of intervals."""
