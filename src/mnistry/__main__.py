"""`python -m mnistry`, the same as the command `mnistry`."""

from mnistry.cli.__main__ import run

if __name__ == "__main__":
    run()
