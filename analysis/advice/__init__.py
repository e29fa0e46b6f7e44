"""What the first steps of the mean show, and what each K would do to its advantages; docs/advice.md."""
