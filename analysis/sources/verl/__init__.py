"""Runs of verl that the toolkit did not launch: files of its loggers and dumps of its validations."""
