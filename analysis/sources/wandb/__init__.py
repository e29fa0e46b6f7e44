"""Runs on W&B: read from its server and from offline files, and brought there."""
