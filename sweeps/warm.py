"""Imported once by the process that workers are forked from: the trainer and what it imports."""

from qae.tiny import train

__all__ = ["train"]
