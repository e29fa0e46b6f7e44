"""What several figures draw or count in the same way."""
