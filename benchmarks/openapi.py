"""Does the service keep what its OpenAPI tells? Schemathesis asks it whatever the schema allows, and what it forbids.

    python benchmarks/openapi.py [--examples 400] [--cases 5000] [--seed 1]

Needs mnistry[serve] and schemathesis>=4 (not among mnistry's own extras). The service stands on a free port, with a
home of its own and without MNIST, so that a teaching that is asked for ends at once. Fails where an answer is a 5xx
other than a documented 503 or 507, or has a status, a body or a type that is not documented for its route. The last
line is one JSON object.
"""

import argparse
import json
import os
import signal
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

CHECKS = "not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance"


def main() -> None:
    """Ask, count, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--examples", type=int, default=400, help="for each operation")
    parser.add_argument("--cases", type=int, default=5000, help="the least number of cases")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        log = Path(folder, "log.jsonl")
        with service(Path(folder), log) as address:
            code, told = asked(address, options.examples, options.seed, Path(folder))
        rows = [json.loads(line) for line in log.read_text("utf-8").splitlines() if line.startswith("{")]
    print(told)
    statuses = Counter(row["status"] for row in rows if "status" in row)
    cases = sum(statuses.values())
    figures = {"cases": cases, "statuses": dict(sorted(statuses.items())), "passed": code == 0}
    print(json.dumps(figures))
    sys.exit(int(code != 0 or cases < options.cases))


@contextmanager
def service(home: Path, log: Path) -> Iterator[str]:
    """The address of a service of its own, whose log goes to a file."""
    environment = {**os.environ, "MNISTRY_HOME": str(home), "MNISTRY_OFFLINE": "1"}
    environment.pop("MNISTRY_DATA", None)
    with log.open("w") as errors:
        process = subprocess.Popen(
            [sys.executable, "-m", "mnistry.cli", "serve", "--port", "0", "--json"],
            stdout=subprocess.PIPE, stderr=errors, text=True, env=environment,
        )  # fmt: skip
        assert process.stdout
        try:
            yield json.loads(process.stdout.readline())["address"]
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(30)
            process.stdout.close()


def asked(address: str, examples: int, seed: int, folder: Path) -> tuple[int, str]:
    """Schemathesis' exit code and what it prints."""
    done = subprocess.run(
        [sys.executable, "-m", "schemathesis.cli", "run", f"{address}/openapi.json", "--checks", CHECKS,
         "--max-examples", str(examples), "--seed", str(seed), "--continue-on-failure"],
        capture_output=True, text=True, check=False, cwd=folder,  # it keeps a cache where it stands
    )  # fmt: skip
    return done.returncode, done.stdout[-6000:] + done.stderr[-2000:]


if __name__ == "__main__":
    main()
