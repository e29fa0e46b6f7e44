"""Which runs there are: the store, a run's id, who holds a run, which code an attempt ran."""
