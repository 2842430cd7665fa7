"""`python -m mnistry.cli` is the command `mnistry`."""

from mnistry.cli.main import run

run()
