"""The embedded transformer: its weights, its attention, and the tokens that it samples."""
