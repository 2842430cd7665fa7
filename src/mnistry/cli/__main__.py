"""The process `mnistry`, also as `python -m mnistry.cli`: Ctrl-C ends it without a traceback while it still imports."""

import _signal  # type: ignore[import-not-found]  # what `signal` wraps: that one imports half a dozen modules first, in which Ctrl-C is a traceback
import os

if _signal.getsignal(_signal.SIGINT) is _signal.default_int_handler:
    _signal.signal(_signal.SIGINT, lambda *_: os._exit(130))

from mnistry.cli.main import run as run

if __name__ == "__main__":
    run()
