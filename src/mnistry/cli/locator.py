"""`mnistry train locator`: the networks that find digits in pictures."""

import argparse
from pathlib import Path

from mnistry.cli.arguments import DONE, changes, print_json, shown
from mnistry.settings import MnistryError, Settings

NAME = "locator"


def train(options: argparse.Namespace) -> int:
    """Train locator and verifier into a folder; hours, from which --resume goes on after an interruption."""
    from mnistry.cli import console
    from mnistry.training.locator.run import LocatorRun, has_bfloat16, train_all

    if options.source or options.storage or options.validation is not None or options.dataset != "auto":
        raise MnistryError(f"train {NAME} takes --set, --seed, --out and --resume alone: leave the others out.")
    run = LocatorRun.changed(changes(options), options.seed)
    folder = Path(options.out) if options.out else Settings.from_environment().home / NAME
    if any(folder.glob("*.npz")) and not options.resume:
        raise MnistryError(f"A training is in {folder} already: --resume goes on with it; else choose another --out.")
    with console.steps_bar(NAME, options.quiet) as tell:
        cards = train_all(run, folder, has_bfloat16(), tell)
    if options.json:
        print_json({"folder": str(folder), **cards})
    else:
        print(f"{shown(folder)} has {' and '.join(f'{name}.onnx' for name in cards)}")
    return DONE
