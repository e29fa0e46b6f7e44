"""Commands of `qae` that read runs: results, figures, sources, searches, and how each picks its runs."""
