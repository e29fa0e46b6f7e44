"""Which K a run of one's own should begin with, and what each K would do to its advantages; docs/advice.md."""
