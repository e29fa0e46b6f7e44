"""What a run logs of its tokens: entropies, probabilities and marker words."""
