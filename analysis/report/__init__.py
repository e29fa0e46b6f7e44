"""The report of a sweep: one HTML file with its tables, figures, differences and what is wrong with its data."""
