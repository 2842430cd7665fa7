"""Under which circumstances a run was made: versions, threads, machine, seconds, memory and energy, for run.json."""

import os
import platform
import subprocess
import sys
import threading
import time
from contextlib import suppress
from importlib import metadata
from pathlib import Path
from typing import Any, Self

import mnistry
from mnistry.models.backend import backend_info

PACKAGES = (
    "mnistry", "numpy", "scipy", "scikit-learn", "keras", "tensorflow", "tensorflow-cpu", "jax", "torch", "onnx",
    "onnxruntime",
)  # fmt: skip
POWERCAP = Path("/sys/class/powercap")
SAMPLING = 60.0  # seconds between two looks at the energy counters, which begin anew after some 40 minutes of full work


def circumstances(neural: bool) -> dict[str, Any]:
    """Versions, commit, threads, peak memory and machine; with `neural` the back end of Keras."""
    backend = backend_info() if neural else None
    return {
        "versions": _versions(),
        "commit": _commit(),
        "backend": backend and {key: backend[key] for key in ("name", "version")},
        "threads": {backend["name"]: backend["threads"]} if backend else _classical_threads(),
        "peak_memory_mb": _peak_memory(),
        "machine": {
            "system": platform.platform(),
            "processor": platform.machine(),
            "processor_name": _processor_name(),
            "cores": os.cpu_count(),
        },
    }


def _versions() -> dict[str, str]:
    installed = {"python": platform.python_version()}
    for name in PACKAGES:
        with suppress(metadata.PackageNotFoundError):
            installed[name] = metadata.version(name)
    return installed


def _commit() -> str | None:
    """The commit of mnistry's own git checkout, with -dirty where files were changed; None for an installed mnistry."""
    git = ["git", "-C", str(Path(mnistry.__file__).parent)]
    try:
        for asked in (["ls-files", "--error-unmatch", "__init__.py"], ["describe", "--always", "--dirty", "--abbrev=40",
                                                                       "--exclude=*"]):  # fmt: skip
            answer = subprocess.run([*git, *asked], capture_output=True, text=True, check=True, timeout=20).stdout
    except (OSError, subprocess.SubprocessError):
        return None
    return answer.strip()


def _classical_threads() -> dict[str, int]:
    """The linear algebra of a classical fit always has one thread; trees grow on all cores, with the same result."""
    import joblib
    from threadpoolctl import threadpool_info

    openmp = [pool["num_threads"] for pool in threadpool_info() if pool["user_api"] == "openmp"]
    return {"blas": 1, "openmp": max(openmp, default=1), "joblib": joblib.cpu_count()}


def _processor_name() -> str | None:
    with suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text("utf-8", "replace").splitlines():
            if line.startswith(("model name", "Model")):
                return line.partition(":")[2].strip()
    return platform.processor() or None


def _peak_memory() -> float | None:
    """The most memory that this process has held, in MB; None where the system does not tell."""
    try:
        import resource
    except ImportError:  # Windows
        return None
    unit = 1 if sys.platform == "darwin" else 1024
    return round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e6, 1)


class Clock:
    """Seconds of each part of the work, one after the other."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self._last = time.perf_counter()

    def lap(self, name: str) -> None:
        """Note the seconds since the last lap under this name."""
        now = time.perf_counter()
        self.seconds[name] = round(now - self._last, 3)
        self._last = now


class EnergyMeter:
    """The energy in joules that the processors took during the `with` block, other programs included.

    An estimate by RAPL, the counters of Intel's and AMD's processors under Linux. None where they cannot be read: on
    other systems, in most virtual machines, and without the right to read them.
    """

    joules: float | None = None

    def __init__(self, root: Path = POWERCAP) -> None:
        self._zones = [path for path in sorted(root.glob("intel-rapl:*")) if path.name.count(":") == 1]  # one a package
        self._last: dict[Path, int] = {}
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._sample, daemon=True)

    def __enter__(self) -> Self:
        with suppress(OSError, ValueError):
            self._last = {zone: _number(zone / "energy_uj") for zone in self._zones}
            self.joules = 0.0 if self._last else None
        if self.joules is not None:
            self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._end.set()
        if self.joules is not None:
            self._thread.join()
            self._add()

    def _sample(self) -> None:
        while not self._end.wait(SAMPLING):
            self._add()

    def _add(self) -> None:
        try:
            for zone, last in self._last.items():
                now, largest = _number(zone / "energy_uj"), _number(zone / "max_energy_range_uj")
                self.joules = (self.joules or 0.0) + (now - last) % largest / 1e6
                self._last[zone] = now
        except (OSError, ValueError):
            self.joules = None


def _number(path: Path) -> int:
    return int(path.read_text())
