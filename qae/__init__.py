"""Quantile Advantage Estimation (arXiv 2509.22611): the method, its diagnostics and an embedded CPU trainer.

Importing this package imports neither torch nor verl; the modules that need them say so.
"""
