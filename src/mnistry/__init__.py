"""mnistry learns handwritten digits, proves how well it has learnt them, and reads them in people's own pictures."""

from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from mnistry.data.dataset import load as load
    from mnistry.reading.reader import Reader as Reader
    from mnistry.settings import MnistryError as MnistryError
    from mnistry.training.train import evaluate as evaluate
    from mnistry.training.train import train as train

_HOMES = {
    "MnistryError": "settings",
    "Reader": "reading.reader",
    "evaluate": "training.train",
    "load": "data.dataset",
    "train": "training.train",
}
__all__ = ["MnistryError", "Reader", "__version__", "evaluate", "load", "train"]


def __getattr__(name: str) -> Any:
    """Load a public name's module when it is first asked for, so that `import mnistry` costs nothing."""
    if name not in _HOMES:
        raise AttributeError(f"module 'mnistry' has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f"mnistry.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return __all__
