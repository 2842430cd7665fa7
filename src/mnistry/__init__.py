"""mnistry learns handwritten digits, proves how well it has learnt them, and reads them in people's own pictures."""

TYPE_CHECKING = False  # typing's own would be an import of milliseconds, before the command line hears Ctrl-C
__version__ = "0.1.0"

if TYPE_CHECKING:
    from typing import Any

    from mnistry.data.dataset import load as load
    from mnistry.imaging.decode import PictureError as PictureError
    from mnistry.reading.reader import Digit as Digit
    from mnistry.reading.reader import Reader as Reader
    from mnistry.reading.reader import Reading as Reading
    from mnistry.settings import MnistryError as MnistryError
    from mnistry.training.train import evaluate as evaluate
    from mnistry.training.train import train as train

_HOMES = {
    "Digit": "reading.reader",
    "MnistryError": "settings",
    "PictureError": "imaging.decode",
    "Reader": "reading.reader",
    "Reading": "reading.reader",
    "evaluate": "training.train",
    "load": "data.dataset",
    "pad": "notebook",
    "train": "training.train",
}
__all__ = [
    "Digit", "MnistryError", "PictureError", "Reader", "Reading", "__version__", "evaluate", "load", "pad", "train",
]  # fmt: skip


def __getattr__(name: str) -> "Any":
    """Load a public name's module when it is first asked for, so that `import mnistry` costs nothing.

    Raises MissingExtraError, an ImportError, where the libraries for training are not installed.
    """
    if name not in _HOMES:
        raise AttributeError(f"module 'mnistry' has no attribute {name!r}")
    from importlib import import_module

    from mnistry.settings import missing_extra

    try:
        return getattr(import_module(f"mnistry.{_HOMES[name]}"), name)
    except ModuleNotFoundError as problem:
        raise missing_extra(f"mnistry.{name}", problem) from problem


def __dir__() -> list[str]:
    return __all__
