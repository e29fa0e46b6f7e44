"""What verl would refuse or silently misread in a run, said before anything is submitted: `checking.check`."""
