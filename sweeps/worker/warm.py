"""Imported first by the process that workers are forked from, before the modules that their trainers name."""

import signal

# A closed terminal reaches the launcher, which stops the workers in order; this process must outlive them.
signal.signal(signal.SIGHUP, signal.SIG_IGN)
