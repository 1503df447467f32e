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
        poll_seconds: Between two looks into the folder.
        settle_seconds: A file that does not decode is tried again until it has not changed for so long.
    """

    name: str
    path: Path
    recipe: str = ""
    sort_into: Path | None = None
    poll_seconds: float = 0.5
    settle_seconds: float = 10.0


@dataclass(frozen=True)
class CameraIn:
    """A camera, video file or stream, read by OpenCV.

    Attributes:
        name: Stands in the decisions' source.
        source: A number, a path or an RTSP address.
        recipe: As of a folder.
        every_seconds: Between two frames that are inspected, of a file in the time of the film; 0 inspects every frame
            of a file, and of a camera as many as can be.
        username: For an RTSP address.
        password_file: The first line of this file is the password; so it need not stand in the address.
    """

    name: str
    source: str
    recipe: str = ""
    every_seconds: float = 1.0
    username: str = ""
    password_file: Path | None = None


@dataclass(frozen=True)
class Webhook:
    """Decisions are posted as JSON to an address.

    Attributes:
        url: The address, `http://` or `https://`.
        verdicts: Those that are sent.
        token_file: Its first line is sent as `Authorization: Bearer ...`.
        secret_file: Its first line is the key of the signature in the header `Onlygood-Signature`.
        ca_file: Certificates (PEM) to trust instead of the usual ones.
        timeout_seconds: Of one try.
        queue: Decisions that wait at most while the other side does not answer; then the oldest are dropped.
    """

    url: str
    verdicts: tuple[str, ...] = ("OK", "REVIEW", "NG")
    token_file: Path | None = None
    secret_file: Path | None = None
    ca_file: Path | None = None
    timeout_seconds: float = 10.0
    queue: int = 10_000


@dataclass(frozen=True)
class Mqtt:
    """Decisions are published to `TOPIC/RECIPE` of a broker, quality of service 1; `TOPIC/$status` says `online`.

    Attributes:
        host: Of the broker.
        port: 1883 is usual, 8883 with TLS.
        topic: The first part of the topics; may have slashes.
        username: Empty to connect without.
        password_file: Its first line is the password.
        tls: Whether to encrypt and to check the broker's certificate.
        ca_file: Certificates (PEM) to trust instead of the usual ones.
        verdicts: Those that are sent.
        queue: Decisions that wait at most while the broker is gone; then the oldest are dropped.
    """

    host: str
    port: int = 1883
    topic: str = "onlygood"
    username: str = ""
    password_file: Path | None = None
    tls: bool = False
    ca_file: Path | None = None
    verdicts: tuple[str, ...] = ("OK", "REVIEW", "NG")
    queue: int = 10_000


@dataclass(frozen=True)
class SortOut:
    """The kept image of every decision is copied to `PATH/ok`, `PATH/review` or `PATH/ng`, named by the decision's id.

    Images that are not kept (`Settings.keep`) cannot be copied.
    """

    path: Path
    verdicts: tuple[str, ...] = ("OK", "REVIEW", "NG")


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
        batch_bytes: Of all images of one request together.
        model_bytes: Of a model file that is sent.
        model_seconds: A model file must have arrived within.
        queue: Images that wait at most; then the answer is 503.
        rate: Requests per second of one client address; 0 for no limit.
        upload_seconds: A request must have arrived within.
        journal_bytes: Of the journal while the database is gone.
        picture_bytes: Of all kept pictures; the oldest go first.
    """

    upload_bytes: int = 64 * 2**20
    pixels: int = 120_000_000
    batch: int = 64
    batch_bytes: int = 512 * 2**20
    model_bytes: int = 4 * 2**30
    model_seconds: float = 600.0
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
        keep_models: Model files of each recipe that stay, counted back from the one on duty; 0 keeps all.
        workers: Images inspected at the same time.
        threads: Of each inspection; None for all cores.
        engine: What runs the feature graph; None as fitted.
        hosts: Host names by which browsers may call the station, besides loopback and `host`.
        certificate: PEM file of a certificate and those above it; with `key` the station speaks HTTPS.
        key: PEM file of its key.
        log_level: `debug`, `info`, `warning` or `error`.
        stop_seconds: What was accepted is answered within when the station is stopped.
    """

    data: Path
    models: dict[str, Path]
    host: str = "127.0.0.1"
    port: int = 8010
    database: str = ""
    keep: str = "all"
    keep_models: int = 10
    workers: int = 1
    threads: int | None = None
    engine: str | None = None
    hosts: tuple[str, ...] = ()
    certificate: Path | None = None
    key: Path | None = None
    log_level: str = "info"
    stop_seconds: float = 30.0
    folders: tuple[FolderIn, ...] = ()
    cameras: tuple[CameraIn, ...] = ()
    webhooks: tuple[Webhook, ...] = ()
    mqtt: Mqtt | None = None
    opcua: OpcUa | None = None
    sort_out: SortOut | None = None
    limits: Limits = field(default_factory=Limits)
