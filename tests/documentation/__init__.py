"""Each command, link and promise of the pages, and the site."""
