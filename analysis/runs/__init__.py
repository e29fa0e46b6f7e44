"""What a run, an arm and a seed are in anyone's files: records, frames, names, identity, and their flaws."""
