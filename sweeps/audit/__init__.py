"""What is wrong with a run store: which numbers are lost, doubled or half written, and what may be tidied."""
