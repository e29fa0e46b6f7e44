"""Programs that run in another library's environment, as the other side of a comparison."""
