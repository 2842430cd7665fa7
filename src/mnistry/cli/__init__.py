"""The command line: one short function for each command, its arguments beside it. Begin reading in `main`."""
