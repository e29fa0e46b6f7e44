"""The entropy guard: rules over a run's live metrics, and what is done when one fires. Plain Python, no torch."""
