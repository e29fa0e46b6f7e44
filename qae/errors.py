"""The one exception that a user's mistake in a configuration turns into."""


class ConfigError(ValueError):
    """A configuration value that cannot be used; its text is one sentence for the user.

    Attributes:
        key: dotted name of the offending key, e.g. ``algorithm.quantile_k``.
        value: what was given.
        fix: what to write instead.
    """

    def __init__(self, key: str, value: object, fix: str) -> None:
        super().__init__(f"{key}={value!r} cannot be used: {fix}")
        self.key = key
        self.value = value
        self.fix = fix

    def __reduce__(self) -> tuple[type["ConfigError"], tuple[str, object, str]]:
        """Rebuild from the three parts, so that the error survives the way between processes."""
        return type(self), (self.key, self.value, self.fix)
