"""Commands of `qae` over the run store."""
