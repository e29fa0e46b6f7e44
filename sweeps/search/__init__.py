"""Searching settings with Optuna: a trial is a setting, judged by ordinary runs of the run store."""
