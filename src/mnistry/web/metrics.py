"""What the service counts for Prometheus, and its log: one JSON object a line, without a picture or what is in it."""

import json
import logging
import math
import sys
import time
from collections.abc import Callable
from typing import Any

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

LOG = logging.getLogger("mnistry.web")
SECONDS = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10)
IMAGES = (1, 2, 4, 8, 16, 32, 64, 128, 256)


class Metrics:
    """The counters of one application."""

    def __init__(self, waiting: Callable[[], float]) -> None:
        self.registry = CollectorRegistry()
        self._requests = Counter(
            "mnistry_requests", "Requests by route, method and status.", ("route", "method", "status"),
            registry=self.registry,
        )  # fmt: skip
        self._seconds = Histogram(
            "mnistry_request_seconds", "Time from a request's head to its whole answer.", ("route",),
            buckets=SECONDS, registry=self.registry,
        )  # fmt: skip
        self._batches = Histogram(
            "mnistry_batch_images", "Images answered in one batch.", buckets=IMAGES, registry=self.registry
        )
        self._refused = self._requests.labels("other", "POST", "503")
        self._untold, self._told = 0, -math.inf
        Gauge("mnistry_waiting", "Requests waiting for the model.", registry=self.registry).set_function(waiting)

    def request(self, route: str, method: str, status: int, seconds: float) -> None:
        """Count one request."""
        self._requests.labels(route, method, str(status)).inc()
        self._seconds.labels(route).observe(seconds)

    def refused(self) -> None:
        """Count one request that was refused unread, because too many waited; the log tells of them once a second."""
        self._refused.inc()
        self._untold += 1
        if (now := time.monotonic()) - self._told >= 1:
            LOG.warning("requests were refused: too many wait", extra={"fields": {"refused": self._untold}})
            self._untold, self._told = 0, now

    def batch(self, images: int) -> None:
        """Count one batch of so many images."""
        self._batches.observe(images)

    def text(self) -> bytes:
        """All of them in Prometheus' text format."""
        return generate_latest(self.registry)


def log_request(fields: dict[str, Any]) -> None:
    """One line for a request: ids, route, status, milliseconds, bytes; never what was sent."""
    if LOG.isEnabledFor(logging.INFO):
        LOG.info("request", extra={"fields": fields})


class JsonLines(logging.Formatter):
    """A log record as one JSON object a line."""

    def format(self, record: logging.LogRecord) -> str:
        """Time in UTC, level, message, the record's own fields, and the trace where there is one."""
        moment = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created))
        line = {"time": f"{moment}.{int(record.msecs):03d}Z", "level": record.levelname.lower()}
        line |= {"message": record.getMessage(), **getattr(record, "fields", {})}
        if record.exc_info:
            line["trace"] = self.formatException(record.exc_info)
        return json.dumps(line, default=str)


def log_to_stderr(quiet: bool = False) -> None:
    """Send the service's and uvicorn's log to stderr as JSON; with `quiet` warnings and worse alone."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonLines())
    for name in ("mnistry.web", "uvicorn.error"):
        logger = logging.getLogger(name)
        logger.handlers, logger.propagate = [handler], False
        logger.setLevel(logging.WARNING if quiet or name != "mnistry.web" else logging.INFO)
