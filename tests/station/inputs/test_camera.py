"""Cameras: a film, and a stream over HTTP (Motion JPEG) of a real server on the loopback."""

from __future__ import annotations

import base64
import io
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
import pytest
from PIL import Image

from onlygood.errors import MissingDependencyError
from onlygood.station.errors import BusyError, NotRecordedError, StationError
from onlygood.station.inputs import open_inputs
from onlygood.station.settings import CameraIn, Settings

cv2 = pytest.importorskip("cv2", reason="OpenCV is not installed")


@pytest.fixture
def camera(tmp_path, inspector):
    """Starts a camera; everything that was started is stopped at the end."""
    started = []

    def start(source, **given):
        settings = Settings(tmp_path / "data", {}, cameras=(CameraIn("cam", str(source), **given),))
        (part,) = open_inputs(settings, inspector.submit)
        part.start()
        started.append(part)
        return part

    yield start
    inspector.open.set()
    for part in started:
        part.stop(2.0)


@pytest.fixture
def film(tmp_path, rng):
    """A lossless film of 20 frames, 10 a second, and its frames: uint8 (20, 48, 64, 3), RGB."""
    frames = rng.integers(0, 255, (20, 48, 64, 3), dtype=np.uint8)
    path = tmp_path / "film.avi"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"FFV1"), 10.0, (64, 48))
    assert writer.isOpened()
    for frame in frames:
        writer.write(np.ascontiguousarray(frame[..., ::-1]))
    writer.release()
    return path, frames


def decoded(data: bytes) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(data)))


def test_every_frame_of_a_film_is_inspected_in_order_without_loss_and_then_it_ends(camera, film, inspector, eventually):
    path, frames = film
    inspector.errors = [BusyError("many wait", 0)]
    part = camera(path, every_seconds=0, recipe="cap")
    eventually(lambda: not part.state.running)
    assert part.state.count == 20
    assert not part.state.problem
    assert inspector.names == [f"film-{number:06}.png" for number in range(1, 21)]
    assert {(one.source, one.recipe) for one in inspector.recorded} == {("camera:cam", "cap")}
    for data, frame in zip(inspector.images, frames):
        assert data.startswith(b"\x89PNG")
        np.testing.assert_array_equal(decoded(data), frame)


def test_of_a_film_one_frame_every_so_many_seconds_is_inspected(camera, film, inspector, eventually):
    path, frames = film
    part = camera(path, every_seconds=0.5)
    eventually(lambda: not part.state.running)
    assert part.state.count == 4
    for data, frame in zip(inspector.images, frames[::5]):
        np.testing.assert_array_equal(decoded(data), frame)


def test_no_frame_of_a_film_is_skipped_when_the_record_is_gone_for_a_while(camera, film, inspector, eventually):
    inspector.failing = [NotRecordedError("the disk is full", 0), RuntimeError("the engine stumbled")]
    part = camera(film[0], every_seconds=0)
    eventually(lambda: not part.state.running)
    assert sorted(inspector.names) == [f"film-{number:06}.png" for number in range(1, 21)]
    assert part.state.last_error
    assert not part.state.problem


def test_a_file_that_is_no_film_is_told_and_tried_again(camera, tmp_path, eventually):
    (tmp_path / "film.mp4").write_bytes(b"this is not a film")
    part = camera(tmp_path / "film.mp4")
    eventually(lambda: "cam" in part.state.problem)
    assert part.state.running


class Stream:
    """A camera that sends Motion JPEG over HTTP: grey frames whose level is the number of the frame."""

    def __init__(self, port: int = 0, password: str = "") -> None:
        self.sent = 0
        self.cut = threading.Event()
        self.step = 0.02
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                wanted = "Basic " + base64.b64encode(password.encode()).decode()
                if password and self.headers.get("Authorization") != wanted:
                    self.send_response(401)
                    self.send_header("WWW-Authenticate", 'Basic realm="camera"')
                    self.end_headers()
                    return
                self.send_response(200)
                self.send_header("Content-Type", "multipart/x-mixed-replace; boundary=frame")
                self.end_headers()
                outer.cut.clear()
                try:
                    while not outer.cut.is_set():
                        file = io.BytesIO()
                        Image.new("RGB", (64, 48), (outer.sent % 250,) * 3).save(file, "JPEG", quality=95)
                        data = file.getvalue()
                        head = f"--frame\r\nContent-Type: image/jpeg\r\nContent-Length: {len(data)}\r\n\r\n"
                        self.wfile.write(head.encode() + data + b"\r\n")
                        outer.sent += 1
                        time.sleep(outer.step)
                except OSError:
                    pass

            def log_message(self, *_: object) -> None:
                pass

        self.http = ThreadingHTTPServer(("127.0.0.1", port), Handler)
        self.http.daemon_threads = True
        self.port = self.http.server_address[1]
        threading.Thread(target=self.http.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()

    def close(self) -> None:
        self.cut.set()
        self.http.shutdown()
        self.http.server_close()


@pytest.fixture
def stream():
    made = []

    def make(**given) -> Stream:
        made.append(Stream(**given))
        return made[-1]

    yield make
    for one in made:
        one.close()


def test_of_a_stream_the_newest_frame_is_inspected_however_slow_the_inspection_is(
    camera, stream, inspector, eventually
):
    source = stream()
    inspector.open.clear()
    part = camera(f"http://127.0.0.1:{source.port}/stream.mjpg", every_seconds=0)
    eventually(lambda: inspector.entered)  # the first frame is being inspected
    before = source.sent
    eventually(lambda: source.sent > before + 60)
    inspector.open.set()
    eventually(lambda: part.state.count >= 2)
    first, second = (int(np.median(decoded(data))) for data in inspector.images[:2])
    assert second - first > 30  # of those that were sent in between none stood in a queue
    assert part.stop()


def test_a_stream_that_breaks_is_connected_again(camera, stream, inspector, eventually):
    source = stream()
    part = camera(f"http://127.0.0.1:{source.port}/stream.mjpg", every_seconds=0)
    eventually(lambda: part.state.count > 2)
    source.close()
    eventually(lambda: part.state.problem)
    assert part.state.running
    count = part.state.count
    stream(port=source.port)
    eventually(lambda: part.state.count > count + 2, 30.0)
    assert not part.state.problem


def test_a_stream_that_hangs_is_let_go_before_the_station_ends(camera, stream, eventually):
    """A thread that is inside OpenCV when the interpreter ends takes the whole process down."""
    source = stream()
    part = camera(f"http://127.0.0.1:{source.port}/stream.mjpg", every_seconds=0)
    eventually(lambda: part.state.count > 1)
    source.step = 3.0
    sent = source.sent
    eventually(lambda: source.sent > sent)  # and now it says nothing for 3 seconds
    assert part.stop()
    assert not [one for one in threading.enumerate() if one.name == f"{part.name} frames"]


def test_the_password_of_a_camera_comes_from_a_file_and_is_never_told(
    camera, stream, inspector, eventually, tmp_path, logged, capfd
):
    (tmp_path / "password").write_text("hush:@/\n")
    source = stream(password="anna:hush:@/")
    part = camera(
        f"http://127.0.0.1:{source.port}/stream.mjpg",
        every_seconds=0,
        username="anna",
        password_file=tmp_path / "password",
    )
    eventually(lambda: part.state.count > 1)
    source.close()
    eventually(lambda: part.state.problem)
    said = "".join(logged) + str(part.state) + "".join(capfd.readouterr()) + str(inspector.recorded[0])
    assert "hush" not in said


def test_a_camera_that_is_not_there_is_told_without_its_address_and_tried_again(camera, eventually, capfd):
    part = camera("rtsp://anna:hush@127.0.0.1:1/stream")
    eventually(lambda: "cam" in part.state.problem)
    assert part.state.running
    assert part.stop()
    assert "hush" not in str(part.state) + "".join(capfd.readouterr())


@pytest.mark.parametrize(
    "given",
    [
        {"source": "0", "every_seconds": -1.0},
        {"source": ""},
        {"source": "0", "username": "anna"},
        {"source": "rtsp://127.0.0.1/", "username": "anna", "password_file": "nothing-here"},
    ],
)
def test_settings_that_cannot_be_used_are_said_before_anything_starts(tmp_path, inspector, given):
    from pathlib import Path

    if "password_file" in given:
        given = {**given, "password_file": Path(given["password_file"])}
    with pytest.raises(StationError, match=r"cam|nothing-here"):
        open_inputs(Settings(tmp_path, {}, cameras=(CameraIn("cam", **given),)), inspector.submit)


def test_without_opencv_its_extra_is_named(tmp_path, inspector, monkeypatch):
    import importlib.util

    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(MissingDependencyError, match=r"onlygood\[camera\]"):
        open_inputs(Settings(tmp_path, {}, cameras=(CameraIn("cam", "0"),)), inspector.submit)
