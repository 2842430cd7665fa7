"""The command `site`: the page as static files that read in the browser."""

import argparse
from pathlib import Path

from mnistry.cli.arguments import DONE, print_json, shown


def site_arguments(parser: argparse.ArgumentParser) -> None:
    """Add OUT, --ort and --model."""
    parser.add_argument("out", metavar="OUT", help="the folder to write: empty, new, or a site of before")
    parser.add_argument(
        "--ort", metavar="FOLDER", help="the unpacked npm package onnxruntime-web (default: npm fetches it)"
    )
    parser.add_argument("--model", help="a run or an ONNX file that reads each digit; see serve")


def site(options: argparse.Namespace) -> int:
    """Write the page as a folder for any static host, which reads in the browser and needs no server."""
    from mnistry.cli.serve import checked_model
    from mnistry.reading.reader import Reader
    from mnistry.web.site.write import write_site

    reader = Reader(None if options.model is None else checked_model(options.model))
    out = Path(options.out)
    files = write_site(out, reader, Path(options.ort) if options.ort else None)
    size = sum(files.values())
    if options.json:
        print_json({"folder": str(out), "files": len(files), "bytes": size})
    else:
        print(f"{shown(out)} has the site: {len(files)} files, {size / 1e6:.1f} MB")
    return DONE
