"""How are the files of a run and of a search written and read? `qae.run_directory` says which files there are."""
