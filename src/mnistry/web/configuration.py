"""What the service is given: where it listens, whom it answers, and its limits. Each setting is declared once, here."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mnistry.settings import MnistryError


def setting(default: Any, doc: str, least: float | None = None, unit: str = "") -> Any:
    """A field of `ServeSettings`: its default, what it means, its least value and unit."""
    return field(default=default, metadata={"doc": doc, "least": least, "unit": unit})


@dataclass(frozen=True)
class ServeSettings:
    """The settings of the service. Raises MnistryError on a value that is out of range."""

    host: str = setting("127.0.0.1", "the address to listen on; 0.0.0.0 lets other machines in")
    port: int = setting(8000, "the port; 0 takes a free one", 0)
    allowed_hosts: tuple[str, ...] = setting((), "further names under which the service may be called, or *.name")
    origins: tuple[str, ...] = setting((), "origins whose pages may call the service (CORS), such as https://a.org")
    frames: tuple[str, ...] = setting((), "origins whose pages may show the page in a frame")
    home: Path | None = setting(None, "the folder of the stored corrections; without it there are none")  # noqa: RUF009
    max_body: int = setting(2**20, "the largest body of a request", 1024, "bytes")
    max_pixels: int = setting(20_000_000, "the largest picture: width times height", 784, "pixels")
    max_batch: int = setting(256, "the most images of one tensor", 1, "images")
    max_pictures: int = setting(16, "the most pictures of one request", 1, "pictures")
    queue: int = setting(64, "requests that may wait for an answer; the next ones are told to come later", 1)
    connections: int = setting(512, "connections that may be open at a time", 1)
    threads: int = setting(2, "pictures read at a time", 1)
    receive_seconds: float = setting(10.0, "how long a request may take to arrive", 0.05, "seconds")
    answer_seconds: float = setting(10.0, "how long an answer may take", 0.05, "seconds")
    idle_seconds: float = setting(15.0, "how long a connection may stay open between two requests", 0.05, "seconds")
    grace_seconds: float = setting(15.0, "how long requests may take to end after SIGTERM", 0.1, "seconds")

    def __post_init__(self) -> None:
        for name, declared in self.__dataclass_fields__.items():
            least, value = declared.metadata["least"], getattr(self, name)
            if least is not None and not value >= least:
                raise MnistryError(f"The setting {name} of the service is to be at least {least}, not {value}.")
        if self.port > 65535:
            raise MnistryError(f"A port is a number up to 65535, not {self.port}.")

    @property
    def hosts(self) -> tuple[str, ...]:
        """The names that a request's Host may have."""
        own = () if self.host in ("0.0.0.0", "::", "") else (self.host.lower(),)
        return ("127.0.0.1", "localhost", "[::1]", *own, *(name.lower() for name in self.allowed_hosts))
