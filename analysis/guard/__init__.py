"""The guard's rules on recorded runs: what they would have saved, and what they would have cost."""
