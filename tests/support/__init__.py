"""What tests share: configurations, environments, processes."""
