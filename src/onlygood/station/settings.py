"""How a station is set up: a TOML file and the options of the command line, checked before anything starts."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True)
class FolderIn:
    """A watched folder.

    Attributes:
        name: Stands in the decisions' source.
        path: The folder; its sub-folders are not looked into.
        recipe: That inspects its images; empty if there is only one recipe.
        sort_into: A folder with `ok/ review/ ng/ error/` into which files are moved once their decision is recorded;
            None leaves them, and what was inspected is known by name, size and time of change.
    """

    name: str
    path: Path
    recipe: str = ""
    sort_into: Path | None = None


@dataclass(frozen=True)
class CameraIn:
    """A camera, video file or stream, read by OpenCV.

    Attributes:
        name: Stands in the decisions' source.
        source: A number, a path or an RTSP address.
        recipe: As of a folder.
        every_seconds: Between two frames that are inspected; 0 inspects every frame of a file.
    """

    name: str
    source: str
    recipe: str = ""
    every_seconds: float = 1.0


@dataclass(frozen=True)
class Webhook:
    """Decisions are posted as JSON to an address."""

    url: str
    verdicts: tuple[str, ...] = ("OK", "REVIEW", "NG")


@dataclass(frozen=True)
class Mqtt:
    """Decisions are published to `TOPIC/RECIPE` of a broker, quality of service 1."""

    host: str
    port: int = 1883
    topic: str = "onlygood"
    username: str = ""
    password_file: Path | None = None
    tls: bool = False


@dataclass(frozen=True)
class OpcUa:
    """An OPC UA server with the last decision and the counters of each recipe."""

    endpoint: str = "opc.tcp://127.0.0.1:4840/onlygood/"


@dataclass(frozen=True)
class Limits:
    """What one request may ask, and how much may wait.

    Attributes:
        upload_bytes: Of one image.
        pixels: Of one image; a larger one is refused before it is decoded.
        batch: Images of one request.
        queue: Images that wait at most; then the answer is 503.
        rate: Requests per second of one client address; 0 for no limit.
        upload_seconds: A request must have arrived within.
        journal_bytes: Of the journal while the database is gone.
        picture_bytes: Of all kept pictures; the oldest go first.
    """

    upload_bytes: int = 64 * 2**20
    pixels: int = 120_000_000
    batch: int = 64
    queue: int = 256
    rate: float = 0.0
    upload_seconds: float = 30.0
    journal_bytes: int = 256 * 2**20
    picture_bytes: int = 20 * 2**30


@dataclass(frozen=True)
class Settings:
    """All of it.

    Attributes:
        data: The station's own folder: `record.sqlite`, `journal`, `pictures/`, `models/`, `tokens.toml`.
        models: Model file of each recipe.
        host: Address to listen on.
        port: To listen on; 0 for any free one.
        database: SQLAlchemy address; empty for SQLite in `data`.
        keep: Whose images are kept: `all`, `review` (REVIEW and NG) or `none`.
        workers: Images inspected at the same time.
        threads: Of each inspection; None for all cores.
        engine: What runs the feature graph; None as fitted.
        hosts: Host names by which browsers may call the station, besides loopback and `host`.
    """

    data: Path
    models: dict[str, Path]
    host: str = "127.0.0.1"
    port: int = 8010
    database: str = ""
    keep: str = "all"
    workers: int = 1
    threads: int | None = None
    engine: str | None = None
    hosts: tuple[str, ...] = ()
    folders: tuple[FolderIn, ...] = ()
    cameras: tuple[CameraIn, ...] = ()
    webhooks: tuple[Webhook, ...] = ()
    mqtt: Mqtt | None = None
    opcua: OpcUa | None = None
    limits: Limits = field(default_factory=Limits)
