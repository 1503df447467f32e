"""The station under load on this machine: what it costs over bare inspecting, how much it does, whether it stays well.

    python benchmarks/station.py --into docs/station.md

Solar cells (ELPV mono, package elpv-dataset). The station runs in a process of its own, on the loopback; the load
comes from h2load (Debian's nghttp2-client) over connections that are kept open. Records go to OUT/station.jsonl;
--skip-done keeps what is there.

Overhead: the same image goes a hundred times to the station, one at a time, and a hundred times through bare
`detector.inspect` in another process, in turns, so that a busy moment of the machine strikes both alike.
Soak: many small images and a small, fast model; each answer's id is noted and looked for in the record afterwards.
"""

from __future__ import annotations

import argparse
import http.client
import json
import sys
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from onlygood.images.datasets.elpv import load_elpv
from onlygood.images.sources import spread
from peers.options import for_ours
from peers.protocol import Peer
from records import Records, replace_between, where
from station_process import RunningStation, load, tool_version

HERE = Path(__file__).resolve().parent
#: Packages of the station whose versions are noted.
PACKAGES = ("fastapi", "uvicorn", "sqlalchemy")
#: Requests of one turn.
TURN = 100
#: Inspections before anything is counted: files of the record grow to their size meanwhile.
WARM = 500
#: What we want: milliseconds that the station adds at most (95th percentile, one client), growth of memory in a soak.
MOST_ADDED, MOST_GROWTH = 5.0, 0.05


def percentiles(ms: ArrayLike) -> dict[str, float]:
    """p50, p95 and p99."""
    return {f"p{q}": float(np.percentile(ms, q)) for q in (50, 95, 99)}


class Bench:
    """What the steps share."""

    def __init__(self, given: argparse.Namespace, records: Records) -> None:
        self.given, self.records = given, records
        self.out = given.out.resolve() / "station"
        self.out.mkdir(parents=True, exist_ok=True)
        split = load_elpv("mono")
        self.train = [split.train[i] for i in spread(len(split.train), given.train)]
        self.images = [split.test[i].path for i in spread(len(split.test), given.turns)]
        self.versions = {"h2load": tool_version(), **{name: _version(name) for name in PACKAGES}}

    def wanted(self, kind: str, key: dict[str, Any]) -> bool:
        return not (self.given.skip_done and self.records.done(kind, key))

    def put(self, kind: str, key: dict[str, Any], values: dict[str, Any]) -> None:
        self.records.add(kind, key, values, **self.versions)
        shown = {name: value for name, value in values.items() if not isinstance(value, list)}
        print(f"{kind} {json.dumps(key)}: {json.dumps(shown)}", flush=True)

    def peer(self) -> Peer:
        return Peer(sys.executable, HERE / "peers/ours.py", threads=self.given.threads, folder=self.out)

    def model(self, name: str, size: int, method: str) -> Path:
        """A folder with a model file, fitted once."""
        folder = self.out / f"{name}-{self.given.train}-{size}"
        if not (folder / "model.og").exists():
            asked = {"images": [str(image) for image in self.train], "into": folder, "threads": self.given.threads}
            with self.peer() as child:
                child.ask("fit", **asked, **for_ours("efficientnet_lite0", 1.0, size), method=method)
        return folder


def under_load(bench: Bench) -> None:
    """Overhead at one client, then throughput and times at every number of clients."""
    given = bench.given
    base = {"model": Path(given.model).name if given.model else "reb", "threads": given.threads, "size": given.size}
    base |= {"train": given.train, "engine": given.engine}
    overhead = {**base, "turns": given.turns}
    loads = [{**base, "clients": clients, "requests": given.requests} for clients in given.clients]
    loads = [key for key in loads if bench.wanted("load", key)]
    if not loads and not bench.wanted("overhead", overhead):
        return
    folder = Path(given.model).resolve().parent if given.model else bench.model("reb", given.size, "reb")
    file = Path(given.model).resolve() if given.model else folder / "model.og"
    log = bench.out / "requests.log"
    setting = f"engine = {given.engine!r}"
    with RunningStation(file, bench.out / "line", given.threads, setting) as station, bench.peer() as bare:
        bare.ask("load", folder=folder, threads=given.threads, route=given.engine)
        load(station.address, bench.images[0], WARM, 1, log)  # not counted
        bare.ask("inspect", images=[str(bench.images[0])] * WARM, route=given.engine)
        if bench.wanted("overhead", overhead):
            bench.put("overhead", overhead, side_by_side(bench, station, bare, log))
        for key in loads:
            ms, errors, seconds = load(station.address, bench.images[0], key["requests"], key["clients"], log)
            values = {**percentiles(ms), "errors": errors, "per_second": len(ms) / seconds}
            bench.put("load", key, {**values, "resident_mib": station.resident_mib()})


def side_by_side(bench: Bench, station: RunningStation, bare: Peer, log: Path) -> dict[str, Any]:
    """Turns of the station and of bare inspecting with the same images."""
    through: list[float] = []
    alone: list[float] = []
    failed = 0
    for number, image in enumerate(bench.images):
        for ours in (True, False) if number % 2 else (False, True):
            if ours:
                ms, errors, _ = load(station.address, image, TURN, 1, log)
                through += ms.tolist()
                failed += errors
            else:
                asked = {"images": [str(image)] * TURN, "route": bench.given.engine}
                alone += bare.ask("inspect", **asked)["milliseconds"]
    mine, others = percentiles(through), percentiles(alone)
    return {
        "station": mine,
        "bare": others,
        "added": {name: mine[name] - others[name] for name in mine},
        "errors": failed,
        "runs": len(through),
    }


def soak(bench: Bench) -> None:
    """Many requests; memory along the way, and the record afterwards."""
    given = bench.given
    key = {"requests": given.soak, "clients": given.soak_clients, "size": given.soak_size, "threads": 1}
    key["keep"] = given.soak_keep
    if not given.soak or not bench.wanted("soak", key):
        return
    images = small_images(bench, given.soak_size)
    model = bench.model("knn", given.soak_size, "knn") / "model.og"
    with RunningStation(model, bench.out / "soak", 1, f"keep = {given.soak_keep!r}") as station:
        watch = Watch(station)
        started = time.perf_counter()
        ids, errors = ask_many(station.port, images, given.soak, given.soak_clients, watch)
        seconds = time.perf_counter() - started
        watch.stop()
        status = station.stop()
        found, double, kept = look_into(station.data)
    memory = watch.series
    first, last = share(memory, given.soak, 0.0, 0.2), share(memory, given.soak, 0.8, 1.0)
    values = {
        "answered": len(ids),
        "errors": len(errors),
        "first_errors": errors[:5],
        "lost": len(set(ids) - found),
        "recorded": len(found),
        "double": double,
        "pictures": kept,
        "exit_status": status,
        "seconds": seconds,
        "first_fifth_mib": first,
        "last_fifth_mib": last,
        "memory_mib": memory,
    }
    bench.put("soak", key, values)


def small_images(bench: Bench, size: int) -> list[bytes]:
    """The cells, reduced, as PNG."""
    from PIL import Image

    found = []
    for number, path in enumerate(bench.images):
        small = bench.out / f"small-{number}.png"
        with Image.open(path) as image:
            image.resize((size, size)).save(small)
        found.append(small.read_bytes())
    return found


def ask_many(port: int, images: list[bytes], count: int, clients: int, watch: Watch) -> tuple[list[str], list[str]]:
    """Ids that were answered, and what went wrong."""
    ids: list[str] = []
    errors: list[str] = []
    left = iter(range(count))
    taking = threading.Lock()

    def ask() -> None:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        while True:
            with taking:
                number = next(left, None)
            if number is None:
                return
            try:
                connection.request("POST", "/inspect", images[number % len(images)], {"Content-Type": "image/png"})
                response = connection.getresponse()
                body = response.read()
                if response.status == 200:
                    ids.append(json.loads(body)["id"])
                else:
                    errors.append(f"{response.status} {body[:200]!r}")
            except (OSError, http.client.HTTPException, ValueError) as error:
                errors.append(repr(error))
                connection.close()
            watch.done = len(ids) + len(errors)

    threads = [threading.Thread(target=ask) for _ in range(clients)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return ids, errors


class Watch:
    """Notes the memory of a station every second: `[requests answered, MiB]`."""

    def __init__(self, station: RunningStation) -> None:
        self.done = 0
        self.series: list[list[float]] = []
        self._ending = threading.Event()
        self._station = station
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        while True:
            self.series.append([self.done, round(self._station.resident_mib(), 1)])
            if self._ending.wait(1.0):
                return

    def stop(self) -> None:
        self._ending.set()
        self._thread.join()


def share(memory: list[list[float]], count: int, begin: float, end: float) -> float:
    """Mean memory while that share of the requests was answered, MiB."""
    found = [mib for done, mib in memory if begin * count <= done <= end * count]
    return float(np.mean(found)) if found else float("nan")


def look_into(data: Path) -> tuple[set[str], int, int]:
    """Ids in the record of a station that was stopped, how many stand there twice, and pictures kept of them."""
    from onlygood.station.record import Query, Record
    from onlygood.station.settings import Limits

    record = Record.open("", data, Limits(), keep="all")
    try:
        ids: list[str] = []
        kept = 0
        query = Query(order="oldest", limit=500)
        while rows := record.decisions(query):
            ids += [row["id"] for row in rows]
            kept += sum((data / "pictures" / row["picture"]).is_file() for row in rows if row["picture"])
            query = query.behind(rows[-1]["seq"])
    finally:
        record.close()
    return set(ids), len(ids) - len(set(ids)), kept


def _version(package: str) -> str:
    from importlib.metadata import version

    return version(package)


# the page


def page(records: Records) -> str:
    """Where it was measured, and what."""
    parts = [where(records.counting({}))]
    for row in records.good("overhead")[-1:]:
        parts += [overhead_table(row)]
    rows = records.good("load")
    if rows:
        parts += [load_table(rows)]
    for row in records.good("soak"):
        parts += [soak_words(row)]
    return "\n\n".join(parts)


def overhead_table(row: dict[str, Any]) -> str:
    key, values = row["key"], row["values"]
    lines = [
        f"**What the station adds**: one client, {values['runs']:,} inspections each, in turns of {TURN}, over "
        f"{key['turns']} images; {key['model']} fitted with {key['train']} images of {key['size']} pixels, "
        f"{key['engine']}, {key['threads']} threads. Milliseconds:",
        "",
        "|  | p50 | p95 | p99 |",
        "|---|---|---|---|",
    ]
    names = {"bare": "bare `inspect`", "station": "`POST /inspect`", "added": "difference"}
    lines += [f"| {said} | {' | '.join(f'{v:.1f}' for v in values[name].values())} |" for name, said in names.items()]
    met = "met" if values["added"]["p95"] < MOST_ADDED and not values["errors"] else "**not met**"
    asked = f"less than {MOST_ADDED:g} ms at the 95th percentile: {met}"
    return "\n".join([*lines, "", f"Wanted: {asked}. Errors: {values['errors']}."])


def load_table(rows: list[dict[str, Any]]) -> str:
    lines = [
        "**Under load**, the same model, connections kept open, each client sends when it has its answer:",
        "",
        "| clients | requests | a second | p50 ms | p95 ms | p99 ms | errors | resident MiB |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for row in rows:
        key, values = row["key"], row["values"]
        times = [f"{values[name]:.1f}" for name in ("p50", "p95", "p99")]
        cells = [str(key["clients"]), f"{key['requests']:,}", f"{values['per_second']:.1f}", *times]
        cells += [str(values["errors"]), f"{values['resident_mib']:.0f}"]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def soak_words(row: dict[str, Any]) -> str:
    key, values = row["key"], row["values"]
    first, last = values["first_fifth_mib"], values["last_fifth_mib"]
    whole = not values["errors"] and not values["lost"] and not values["double"]
    whole = whole and values["recorded"] == values["answered"] == key["requests"]
    whole = whole and values["pictures"] == (key["requests"] if key["keep"] == "all" else 0)
    rate = values["answered"] / values["seconds"]
    flat = last <= first * (1 + MOST_GROWTH)
    return (
        f"**Soak**: {key['requests']:,} requests by {key['clients']} clients in {values['seconds']:.0f} s "
        f"({rate:.0f} a second), images of {key['size']} pixels and a small model (1-NN at that size), pictures "
        f"kept: {key['keep']}. Answered {values['answered']:,}, errors {values['errors']}; in the record "
        f"{values['recorded']:,}, of those answered missing {values['lost']}, twice {values['double']}, pictures "
        f"{values['pictures']:,}. Nothing lost: {'met' if whole else '**not met**'}. Resident memory {first:.0f} MiB "
        f"in the first fifth, {last:.0f} MiB in the last; grown by at most {MOST_GROWTH:.0%}: "
        f"{'met' if flat else '**not met**'}."
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("bench-output"), help="records, models, the stations' data")
    parser.add_argument("--into", type=Path, help="page in which the tables are replaced, such as docs/station.md")
    parser.add_argument("--skip-done", action="store_true", help="do not repeat what is in the records")
    parser.add_argument("--render", action="store_true", help="measure nothing, only make the tables")
    steps = ["under_load", "soak"]
    parser.add_argument("--only", type=lambda text: text.split(","), default=steps, help=",".join(steps))
    parser.add_argument("--model", help="a model file instead of REB fitted on solar cells, named model.og")
    parser.add_argument("--train", type=int, default=209, help="images that the models are fitted with")
    parser.add_argument("--size", type=int, default=256, help="pixels of the input")
    parser.add_argument("--threads", type=int, default=2, help="of the engine")
    parser.add_argument("--engine", default="onnxruntime", help="that runs the feature graph in both")
    parser.add_argument("--turns", type=int, default=10, help=f"turns of {TURN} requests, an image each")
    parser.add_argument("--clients", type=int, nargs="*", default=[1, 8, 64])
    parser.add_argument("--requests", type=int, default=1000, help="at each number of clients")
    parser.add_argument("--soak", type=int, default=50_000, help="requests of the soak; 0 for none")
    parser.add_argument("--soak-clients", type=int, default=8)
    parser.add_argument("--soak-size", type=int, default=64, help="pixels of its images")
    parser.add_argument("--soak-keep", default="all", choices=["all", "none"], help="whose pictures it keeps")
    given = parser.parse_args()
    records = Records(given.out / "station.jsonl")
    if not given.render:
        bench = Bench(given, records)
        for step in (under_load, soak):
            if step.__name__ in given.only:
                step(bench)
    print(page(records))
    if given.into:
        replace_between(given.into, "station", page(records))


if __name__ == "__main__":
    main()
