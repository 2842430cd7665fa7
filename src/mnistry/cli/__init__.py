"""The command line: one short function a command. Begin reading in `main`."""
