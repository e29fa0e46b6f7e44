"""What a run of verl records: its batches, its outputs and its validation, as metrics."""
