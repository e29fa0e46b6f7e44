"""What came out: tidy frames, statistics, tables and figures from run directories."""
