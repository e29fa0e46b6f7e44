"""The one exception of sources."""


class SourceError(ValueError):
    """A source that cannot be loaded; its text is one sentence for the user."""
