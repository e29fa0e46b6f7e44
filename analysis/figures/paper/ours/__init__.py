"""Our figures beside the paper's, one module per figure."""
