"""How many more seeds would tell two arms apart, and the command that trains them; docs/advice.md."""
