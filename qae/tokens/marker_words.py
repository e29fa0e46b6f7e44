"""Words by which the paper counts "anthropomorphic" tokens. No torch."""

# The paper names wait and perhaps (after arXiv 2504.02956) and shows the others in Fig. 3.
MARKER_WORDS = frozenset({"wait", "perhaps", "maybe", "alternatively", "however", "hmm", "actually"})
