"""What to run: configuration tree, run identity, run store, plan, job body, local launcher, the `qae` command."""
