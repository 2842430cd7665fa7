"""The command `serve`: the page and the service, until Ctrl-C."""

import argparse
import hashlib
import json
import sys
from dataclasses import fields
from pathlib import Path
from typing import Any

from mnistry.cli.arguments import DONE, find_run
from mnistry.settings import MnistryError, Settings
from mnistry.web.configuration import ServeSettings

METAVARS = {str: "ADDRESS", int: "N", float: "SECONDS"}
FLAGS = {  # option -> field of ServeSettings, with how it is read
    "--host": ("host", str), "--port": ("port", int), "--max-body": ("max_body", int),
    "--max-pixels": ("max_pixels", int), "--max-batch": ("max_batch", int), "--queue": ("queue", int),
    "--connections": ("connections", int), "--threads": ("threads", int),
    "--receive-seconds": ("receive_seconds", float), "--answer-seconds": ("answer_seconds", float),
    "--grace-seconds": ("grace_seconds", float),
}  # fmt: skip


def serve_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of `serve`; defaults, ranges and words are those of `ServeSettings`."""
    declared = {field.name: field for field in fields(ServeSettings)}
    for flag, (name, kind) in FLAGS.items():
        field = declared[name]
        told = f"{field.metadata['doc']} (default: {field.default} {field.metadata['unit']}".rstrip() + ")"
        parser.add_argument(flag, dest=name, type=kind, metavar=METAVARS[kind], help=told)
    parser.add_argument(
        "--model",
        help="a run or an ONNX file; or bundled, the model that comes with mnistry, "
        "where `mnistry finetune` has made another of it",
    )
    several: Any = {"action": "append", "default": []}
    parser.add_argument("--allow-host", metavar="NAME", help="a further name of the service, or *.name", **several)
    parser.add_argument("--allow-origin", metavar="ORIGIN", help="whose pages may call the service (CORS)", **several)
    parser.add_argument("--allow-frame", metavar="ORIGIN", help="whose pages may show the page in a frame", **several)
    parser.add_argument("--no-corrections", action="store_true", help="store no corrected readings")


def serve(options: argparse.Namespace) -> int:
    """Open the page and the service on this machine, until Ctrl-C."""
    from mnistry.reading.reader import Reader
    from mnistry.web.app import create_app
    from mnistry.web.metrics import log_to_stderr
    from mnistry.web.server import serve as serve_app

    settings = _settings(options)
    reader = Reader(None if options.model is None else checked_model(options.model))
    log_to_stderr(options.quiet)

    def started(address: str) -> None:
        told = json.dumps({"address": address}) if options.json else f"Open {address} (Ctrl-C ends it)"
        print(told, flush=True)

    sys.setswitchinterval(0.001)  # so that reading pictures in threads does not hold up short answers
    serve_app(create_app(reader, settings), settings, started)
    return DONE


def checked_model(name: str) -> bytes:
    """The bytes of a run's or an ONNX file's model, compared with the sha256 of the manifest or card beside it."""
    if name == "bundled":
        from mnistry.reading.recognizer import bundled

        return bundled()
    if not name.lower().endswith(".onnx"):
        return Path(find_run(name).model).read_bytes()
    file = Path(name)
    try:
        data = file.read_bytes()
        card = file.with_suffix(".json")
        known = json.loads(card.read_text("utf-8")).get("sha256") if card.is_file() else None
    except (OSError, ValueError, AttributeError) as problem:
        raise MnistryError(f"The model {name} or its card cannot be read ({problem}).") from problem
    if known and known != hashlib.sha256(data).hexdigest():
        raise MnistryError(f"The model {name} is not the one of its card {card}: export it again.")
    return data


def _settings(options: argparse.Namespace) -> ServeSettings:
    given = {name: getattr(options, name) for name, _ in FLAGS.values() if getattr(options, name) is not None}
    return ServeSettings(
        allowed_hosts=tuple(options.allow_host), origins=tuple(options.allow_origin),
        frames=tuple(options.allow_frame), home=None if options.no_corrections else Settings.from_environment().home,
        **given,
    )  # fmt: skip
