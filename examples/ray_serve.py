"""mnistry on several processes or machines with Ray Serve: two replicas of `mnistry serve`'s own application.

    pip install '.[serve,ray]' 'ray[serve]>=2.50'
    python examples/ray_serve.py          # http://127.0.0.1:8000, until Ctrl-C
    curl --data-binary @picture.png http://127.0.0.1:8000/predict

Each replica is a process with a reader of its own; Ray starts another where one dies, and asks its health by an answer
of the model. The pictures go to whichever has least to do. Corrections are not stored: replicas share no disk.
"""

import sys
import time
from typing import Any

from fastapi import FastAPI
from ray import serve

REPLICAS = 2
MOST_AT_ONCE = 16  # requests that one replica works on; the others wait at the proxy


def service() -> FastAPI:
    """The application of one replica, made in its process."""
    from mnistry import Reader
    from mnistry.web.app import create_app
    from mnistry.web.configuration import ServeSettings

    return create_app(Reader(), ServeSettings())


@serve.deployment(
    num_replicas=REPLICAS, max_ongoing_requests=MOST_AT_ONCE, health_check_period_s=2, health_check_timeout_s=10,
    ray_actor_options={"num_cpus": 0.5},
)  # fmt: skip
@serve.ingress(service)
class Mnistry:
    """One replica."""

    def __init__(self) -> None:
        import numpy as np

        from mnistry import Reader

        self._reader, self._paper = Reader(), np.zeros((1, 28, 28), np.uint8)

    def check_health(self) -> None:
        """Answer for an empty image; raises what the model raises, and Ray then starts another replica."""
        self._reader.predict_proba(self._paper)


app: Any = Mnistry.bind()  # type: ignore[attr-defined]  # `serve run examples.ray_serve:app` works as well


def main() -> None:
    """Serve until Ctrl-C."""
    serve.start(http_options={"host": "127.0.0.1", "port": int(sys.argv[1]) if len(sys.argv) > 1 else 8000})
    serve.run(app, name="mnistry")
    print("Ready", flush=True)
    while True:
        time.sleep(1)


if __name__ == "__main__":
    main()
