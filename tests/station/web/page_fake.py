"""A station made of tables: what the page needs of the interface, in any state a test wants to see."""

from __future__ import annotations

import dataclasses
import datetime
import hashlib
import threading
from collections import Counter
from contextlib import contextmanager
from functools import cache
from typing import Annotated, Any

import numpy as np
import uvicorn
from drawn_flanges import HEIGHT, WIDTH, Drawn, flange, overlay, thumbnail
from fastapi import Body, FastAPI, Query, Request
from starlette.responses import JSONResponse, Response

from onlygood.inspection import Verdict
from onlygood.station.decisions import Decision, Thresholds, new_id, now
from onlygood.station.errors import NotFoundError
from onlygood.station.web import access, events, page
from onlygood.station.web.events import Events
from onlygood.station.web.tokens import Role, User

VERDICTS = ("OK", "REVIEW", "NG")
CSP = "default-src 'self'; frame-ancestors 'none'"
THRESHOLDS = Thresholds(ng=3.1, review=2.55)
MODEL = hashlib.sha256(b"model").hexdigest()


@cache
def pooled(seed: int, defects: int) -> Drawn:
    """A drawn part, drawn once."""
    return flange(seed, defects, strength=1.25 + 0.3 * defects)


def _wander(steps: np.ndarray) -> np.ndarray:
    level, path = 0.0, []
    for step in steps:
        level = max(-0.9, level + step)
        path.append(level)
    return np.array(path)


@cache
def small_picture(jpeg: bytes) -> bytes:
    """Its thumbnail, made once."""
    return thumbnail(jpeg)


class FakeStation:
    """Decisions, answers and all else in lists."""

    def __init__(self, recipes: tuple[str, ...] = ("flange", "cover")) -> None:
        self.rng = np.random.default_rng(7)
        self.recipes = list(recipes)
        self.decisions: list[dict[str, Any]] = []
        self.answers: dict[str, list[dict[str, Any]]] = {}
        self.drawn: dict[str, Drawn] = {}
        self.token = ""
        self.role = "engineer"
        self.thresholds = dataclasses.replace(THRESHOLDS)
        self.state: dict[str, Any] = {
            "ready": True,
            "reasons": [],
            "record": {"database": "ok", "journal": 0, "message": ""},
            "queue": 0,
            "recipes": [{"name": name, "model": MODEL, "problem": ""} for name in recipes],
        }
        self.events = Events(lambda: self.state)
        self.activations = [
            self.activation(MODEL, THRESHOLDS, "anna", "tighter after the complaint of lot 4711", 40),
            self.activation(MODEL, Thresholds(3.4, 2.55), "station", "model file given at the start", 900),
        ]
        self.calibration = np.sort(self.rng.gamma(26, 0.062, 240)).tolist()
        self.drifting = False
        self.candidate = {"state": "idle", "stage": "", "done": 0, "total": 0, "error": "", "waiting": 34, "notes": []}
        self.candidates: list[dict[str, Any]] = []
        self.golden: list[dict[str, Any]] = []
        self.asked: list[tuple[str, str, Any]] = []
        self.entries: list[dict[str, Any]] = []
        self.broken_at: int | None = None
        self.seen_to = False

    def activation(self, model: str, thresholds: Thresholds, who: str, why: str, ago: int) -> dict[str, Any]:
        """One line of what was on duty, from so many minutes ago."""
        time = now() - datetime.timedelta(minutes=ago)
        limits = {"thresholds": {"ng": thresholds.ng, "review": thresholds.review}}
        return {"id": new_id(), "time": time.isoformat(), "model": model, **limits, "who": who, "why": why}

    def note(self, action: str, subject: str, detail: dict[str, Any], who: str = "anna", ago: float = 0.0) -> None:
        """One entry of the audit trail, from so many minutes ago."""
        digests = [hashlib.sha256(str(len(self.entries) + step).encode()).hexdigest() for step in (0, 1)]
        time = (now() - datetime.timedelta(minutes=ago)).isoformat()
        entry = {"seq": len(self.entries) + 1, "time": time, "who": who, "action": action, "subject": subject}
        self.entries.append({**entry, "detail": detail, "previous": digests[0], "digest": digests[1]})

    def busy_weeks(self) -> None:
        """Entries of every kind, more than one page of them."""
        other = hashlib.sha256(b"other").hexdigest()
        first, second, third = ({"ng": ng, "review": 2.55} for ng in (3.4, 3.1, 3.6))
        known = {"digest": "0" * 64, "truth": "good", "name": "known-0.jpg", "decision_id": ""}
        self.note("keep images", "review", {}, "station", 60_000)
        added = {"sha256": MODEL, "method": "REB", "origin": "file", "parent": ""}
        self.note("add model", "flange", added, "station", 59_000)
        put = {"from": None, "to": {"model": MODEL, "thresholds": first}, "why": "file flange.og"}
        self.note("activate", "flange", put, "station", 59_000)
        for index in range(50):
            change = {**known, "name": f"known-{index}.jpg", "truth": "defect" if index % 3 else "good"}
            self.note("golden add", "flange" if index % 2 else "cover", change, "bea", 50_000 - 900 * index)
        self.note("golden remove", "flange", known, "anna", 4000)
        refused = {"file": "/srv/models/flange.og", "problem": "/srv/models/flange.og is no model file."}
        self.note("refuse_file", "flange", refused, "station", 3900)
        damaged = {"model": other, "origin": "upload", "problem": "Its bank is damaged. Save it again."}
        self.note("refuse_model", "flange", damaged, "anna", 3800)
        self.note("remove model", "flange", {"sha256": other, "keep_models": 10}, "station", 3700)
        alarm = {"time": now().isoformat(), "decision_id": "", "against": "start", "direction": "rising", "parts": 271}
        self.note("drift alarm", "flange", alarm, "station", 900)
        self.note("restart drift", "flange", {"alarm": alarm, "parts": 271, "why": "lamp replaced"}, "bea", 840)
        self.note("build candidate", "flange", {"parent": MODEL, "images": 34}, "bea", 700)
        made = {"sha256": other, "method": "REB", "origin": "candidate", "parent": MODEL}
        self.note("add model", "flange", made, "bea", 690)
        duty = {"model": MODEL, "thresholds": first}
        put = {"from": duty, "to": {"model": other, "thresholds": third}, "why": "new lamp, lot 4711"}
        self.note("activate", "flange", put, "anna", 600)
        moved = {
            "from": duty,
            "to": {"model": MODEL, "thresholds": second},
            "why": "tighter after the complaint of lot 4711",
        }
        self.note("activate", "flange", moved, "anna", 40)

    def add(self, score: float, *, name: str = "", recipe: str = "", ago: float = 0.0, keep: bool = True) -> Decision:
        """One decision, told to every browser."""
        number = len(self.decisions)
        verdict = self.thresholds.verdict(score)
        defects = {Verdict.OK: 0, Verdict.REVIEW: 1, Verdict.NG: 2}[verdict]
        drawn = pooled(number % 6 if defects == 0 else 20 + number % 4, defects)
        identity = new_id()
        regions = tuple(
            {"box": list(box), "area": (box[2] - box[0]) * (box[3] - box[1]) // 2, "peak": 2.4 * score / 3}
            for box in drawn.boxes
        )
        decision = Decision(
            id=identity,
            time=now() - datetime.timedelta(seconds=ago),
            recipe=recipe or self.recipes[0],
            model=MODEL,
            source="folder:camera-1",
            name=name or f"flange-{10000 + number}.jpg",
            verdict=verdict,
            score=score,
            p_value=max(1 / 241, float(np.mean(np.array(self.calibration) >= score))),
            thresholds=self.thresholds,
            pixel_threshold=2.0,
            reason="",
            regions=regions,
            width=WIDTH,
            height=HEIGHT,
            digest=hashlib.sha256(drawn.jpeg).hexdigest(),
            wait_ms=float(self.rng.gamma(2, 0.6)),
            inspect_ms=float(self.rng.gamma(60, 0.6)),
            picture=f"{identity}.jpg" if keep else "",
            map_picture=f"{identity}.png" if keep and defects else "",
        )
        self.drawn[identity] = drawn
        self.decisions.append({**decision.as_dict(), "seq": number + 1})
        self.events.decision(decision)
        return decision

    def fill(self, count: int = 48) -> None:
        """A morning's work: mostly good parts, a few to look at, a few bad ones, some of them answered."""
        for index in range(count):
            score = float(self.rng.gamma(26, 0.062))
            score = {5: 2.8, 11: 2.62, 17: 4.4, 23: 2.97, 29: 3.6, 35: 2.7, 41: 5.2, 44: 2.91}.get(
                index, min(score, 2.5)
            )
            decision = self.add(score, ago=(count - index) * 7)
            if index in (5, 17, 29):
                self.answer(decision.id, "NG" if score > 3 else "OK", "bea", "scratch at the rim" if score > 4 else "")
        for index, (truth, score) in enumerate(
            [("good", 1.4), ("good", 1.7), ("good", 2.1), ("defect", 4.4), ("defect", 3.6)]
        ):
            digest = hashlib.sha256(str(index).encode()).hexdigest()
            self.drawn[digest] = pooled(index if truth == "good" else 20 + index % 4, int(truth == "defect"))
            self.know(digest, f"known-{index}.jpg", truth, score)

    def know(self, digest: str, name: str, truth: str, score: float, decision: str = "") -> None:
        """Put an image into the golden set."""
        one = {"digest": digest, "name": name, "truth": truth, "score": score, "decision_id": decision}
        self.golden.append({**one, "time": now().isoformat(), "who": "anna"})

    def answer(self, identity: str, answer: str, who: str, comment: str = "") -> dict[str, Any]:
        """Note an answer."""
        one = {
            "id": new_id(),
            "decision_id": identity,
            "time": now().isoformat(),
            "who": who,
            "answer": answer,
            "comment": comment,
        }
        self.answers.setdefault(identity, []).append(one)
        return one

    def whole(self, decision: dict[str, Any]) -> dict[str, Any]:
        """With its answers."""
        answers = self.answers.get(decision["id"], [])
        return {**decision, "picture_removed": None, "answers": answers, "answer": answers[-1] if answers else None}

    def candidate_of(self, passed: bool) -> dict[str, Any]:
        """A candidate whose gate passed, or let one defect through."""
        outcomes = []
        for one in self.golden:
            escaped = not passed and one["digest"] == self.golden[-1]["digest"]
            score = 2.2 if escaped else one["score"]
            then = {"verdict": str(self.thresholds.verdict(score)), "score": score}
            outcomes.append(
                {
                    **one,
                    "learned": False,
                    "now": {"verdict": str(self.thresholds.verdict(one["score"])), "score": one["score"]},
                    "then": then,
                    "passed": not escaped,
                }
            )
        reasons = [] if passed else ["1 defect of the golden set is called OK."]
        gate = {
            "passed": passed,
            "reasons": reasons,
            "notes": [],
            "good": sum(one["truth"] == "good" for one in self.golden),
            "defects": sum(one["truth"] == "defect" for one in self.golden),
            "escapes": int(not passed),
            "false_rejects": 0,
            "allowed_false_rejects": 0,
            "outcomes": outcomes,
        }
        model = hashlib.sha256(str(len(self.candidates)).encode()).hexdigest()
        return {
            "model": model,
            "time": now().isoformat(),
            "images": 274,
            "added": 34,
            "left_out": 0,
            "added_by_verdict": {"OK": 33, "REVIEW": 1, "NG": 0},
            "parent": MODEL,
            "promise": "",
            "warnings": [],
            "on_duty": False,
            "stale": False,
            "thresholds": {"ng": 3.04, "review": 2.5},
            "passed": passed,
            "gate": gate,
        }


def create_fake(station: FakeStation) -> FastAPI:
    """The interface over the tables."""
    station.events = Events(lambda: station.state)
    app = FastAPI()
    app.state.station = station
    app.include_router(page.router)
    app.include_router(events.router)
    # who has passed the guard below is known
    app.dependency_overrides[access.anybody] = lambda: User("bea", Role(station.role))

    @app.middleware("http")
    async def guard(request: Request, call_next: Any) -> Response:
        free = request.url.path in ("/", "/login", "/whoami") or request.url.path.startswith("/static/")
        if station.token and not free and request.cookies.get("onlygood_token") != station.token:
            return JSONResponse({"error": {"code": "no_token", "message": "no token"}}, 401)
        answer = await call_next(request)
        answer.headers["Content-Security-Policy"] = CSP
        return answer

    @app.exception_handler(NotFoundError)
    def missing(_: Request, error: NotFoundError) -> Response:
        return JSONResponse({"error": {"code": "not_found", "message": str(error)}}, 404)

    @app.get("/whoami")
    def whoami(request: Request) -> Any:
        if station.token and request.cookies.get("onlygood_token") != station.token:
            return {"name": "", "role": "", "open": False}
        return {"name": "bea" if station.token else "local", "role": station.role, "open": not station.token}

    @app.post("/login")
    def login(token: str = Body(embed=True)) -> Response:
        if token != station.token:
            return JSONResponse({"error": {"code": "no_token", "message": "unknown token"}}, 401)
        answer = JSONResponse({})
        answer.set_cookie("onlygood_token", token, httponly=True, samesite="strict")
        return answer

    @app.post("/logout")
    def logout() -> Response:
        answer = JSONResponse({})
        answer.delete_cookie("onlygood_token")
        return answer

    @app.get("/recipes")
    def recipes() -> Any:
        limits = {"ng": station.thresholds.ng, "review": station.thresholds.review}
        one = {
            "model": station.activations[0]["model"],
            "method": "REB",
            "thresholds": limits,
            "since": station.activations[0]["time"],
            "problem": "",
            "own_thresholds": limits,
            "pixel_threshold": 2.0,
            "activation": station.activations[0]["id"],
            "info": {},
        }
        return {
            "recipes": [{"name": name, **one} for name in station.recipes],
            "default": station.recipes[0] if len(station.recipes) == 1 else None,
        }

    @app.get("/decisions")
    def decisions(
        recipe: str = "",
        verdict: Annotated[list[str], Query()] = [],  # noqa: B006
        answered: bool | None = None,
        answer: str = "",
        name: str = "",
        since: datetime.datetime | None = None,
        until: datetime.datetime | None = None,
        min_score: float = -1e9,
        max_score: float = 1e9,
        order: str = "newest",
        limit: int = 100,
        cursor: int = 0,
    ) -> Any:
        def fits(one: dict[str, Any]) -> bool:
            time = datetime.datetime.fromisoformat(one["time"])
            return (
                recipe in ("", one["recipe"])
                and (not verdict or one["verdict"] in verdict)
                and (answered is None or answered == (one["answer"] is not None))
                and (not answer or (one["answer"] or {}).get("answer") == answer)
                and name.lower() in one["name"].lower()
                and min_score <= one["score"] <= max_score
                and (since is None or time >= since)
                and (until is None or time <= until)
            )

        found = [one for one in map(station.whole, station.decisions) if fits(one)]
        found.sort(key=lambda one: one["score"] if order == "score" else one["seq"], reverse=order != "oldest")
        more = cursor + limit < len(found)
        return {"decisions": found[cursor : cursor + limit], "next": cursor + limit if more else None}

    @app.get("/decisions.csv")
    def csv() -> Response:
        return Response("id,name\n", media_type="text/csv")

    def find(identity: str) -> dict[str, Any]:
        for one in station.decisions:
            if one["id"] == identity:
                return station.whole(one)
        raise NotFoundError("no such decision")

    @app.get("/decisions/{identity}")
    def decision(identity: str) -> Any:
        return find(identity)

    @app.get("/decisions/{identity}/image")
    def image(identity: str) -> Response:
        return Response(station.drawn[identity].jpeg, media_type="image/jpeg")

    @app.get("/decisions/{identity}/overlay.png")
    def overlaid(identity: str) -> Response:
        return Response(overlay(station.drawn[identity].heat), media_type="image/png")

    @app.get("/decisions/{identity}/thumbnail.jpg")
    def small(identity: str) -> Response:
        return Response(small_picture(station.drawn[identity].jpeg), media_type="image/jpeg")

    @app.post("/decisions/{identity}/answer")
    def answers(identity: str, answer: str = Body(), comment: str = Body(default="")) -> Any:
        station.answer(identity, answer, "local", comment)
        return find(identity)

    @app.get("/statistics")
    def statistics(recipe: str = "") -> Any:
        found = [station.whole(one) for one in station.decisions if recipe in ("", one["recipe"])]
        counts = Counter(one["verdict"] for one in found)
        said = Counter((one["verdict"], one["answer"]["answer"]) for one in found if one["answer"])
        times = [one["wait_ms"] + one["inspect_ms"] for one in found] or [float("nan")]
        return {
            "recipe": recipe,
            "since": None,
            "verdicts": {verdict: counts[verdict] for verdict in VERDICTS},
            "answers": {verdict: {word: said[verdict, word] for word in ("OK", "NG")} for verdict in VERDICTS},
            "total": len(found),
            "to_review": sum(one["verdict"] == "REVIEW" and one["answer"] is None for one in found),
            "cycle_ms": {
                "parts": len(found),
                **{f"p{share}": float(np.percentile(times, share)) if found else None for share in (50, 95, 99)},
            },
            "parts_per_hour": 514,
        }

    @app.get("/recipes/{recipe}/activations")
    def activations(recipe: str) -> Any:
        return {"activations": station.activations}

    @app.post("/recipes/{recipe}/rollback")
    def rollback(recipe: str) -> Any:
        before = station.activations[1]
        station.thresholds = Thresholds(**before["thresholds"])
        station.activations.insert(
            0, {**before, "id": new_id(), "time": now().isoformat(), "who": "local", "why": "rolled back"}
        )
        return {}

    @app.get("/recipes/{recipe}/histogram")
    def histogram(recipe: str, last: int = 500) -> Any:
        recent = [
            {**{key: one[key] for key in ("seq", "score", "verdict")}, "answer": (one["answer"] or {}).get("answer")}
            for one in map(station.whole, station.decisions[-last:])
        ]
        return {
            "model": MODEL,
            "thresholds": {"ng": station.thresholds.ng, "review": station.thresholds.review},
            "promise": "At most 1% of good parts are called NG, as 240 good images say.",
            "false_reject": 1 / 241,
            "calibration": station.calibration,
            "recent": recent,
        }

    @app.post("/recipes/{recipe}/thresholds/preview")
    def preview(recipe: str, ng: float = Body(), review: float = Body(), last: int = Body(default=500)) -> Any:
        station.asked.append(("preview", recipe, {"ng": ng, "review": review}))
        wanted = Thresholds(ng, review)

        def both(scores: list[float]) -> Any:
            return {
                when: {verdict: [str(limits.verdict(score)) for score in scores].count(verdict) for verdict in VERDICTS}
                for when, limits in (("now", station.thresholds), ("then", wanted))
            }

        found = [station.whole(one) for one in station.decisions[-last:]]
        by_answer = {
            word: both([one["score"] for one in found if one["answer"] and one["answer"]["answer"] == word])
            for word in ("OK", "NG")
        }
        golden = {
            truth: both([one["score"] for one in station.golden if one["truth"] == truth])
            for truth in ("good", "defect")
        }
        rates = {
            when: (1 + sum(score > limits.ng for score in station.calibration)) / 241
            for when, limits in (("now", station.thresholds), ("then", wanted))
        }
        return {
            "last": len(found),
            **both([one["score"] for one in found]),
            "answered": by_answer,
            "golden": golden,
            "false_reject": rates,
            "promise": "",
        }

    @app.put("/recipes/{recipe}/thresholds")
    def change(recipe: str, ng: float = Body(), review: float = Body(), why: str = Body()) -> Any:
        station.asked.append(("thresholds", recipe, {"ng": ng, "review": review, "why": why}))
        station.thresholds = Thresholds(ng, review)
        station.activations.insert(0, station.activation(MODEL, station.thresholds, "local", why, 0))
        return {}

    @app.put("/recipes/{recipe}/model")
    async def upload(recipe: str, request: Request, why: str = "") -> Response:
        body = await request.body()
        if not body.startswith(b"PK"):
            return JSONResponse({"error": {"code": "bad_model", "message": "the file is no model"}}, 400)
        station.activations.insert(
            0, station.activation(hashlib.sha256(body).hexdigest(), station.thresholds, "local", why, 0)
        )
        return JSONResponse({})

    @app.get("/recipes/{recipe}/drift")
    def drift(recipe: str) -> Any:
        rng = np.random.default_rng(3)
        steps = rng.normal(-0.012, 0.07, 400) + (np.arange(400) > 270) * station.drifting * 0.034
        path = _wander(steps)
        start = now()
        times = [(start - datetime.timedelta(seconds=7 * (400 - index))).isoformat() for index in range(400)]
        recent = rng.gamma(26, 0.062 * (1.16 if station.drifting else 1.0), 400)
        over = int(np.argmax(path >= 2))
        over *= not station.seen_to
        alarm = (
            {"time": times[over], "decision_id": "", "against": "start", "direction": "rising", "parts": over}
            if over
            else None
        )
        direction = "rising" if alarm else ""
        test = {"capital_log10": path[-1], "highest_log10": max(path), "direction": direction, "alarm": bool(alarm)}
        return {
            "model": MODEL,
            "parts": 400,
            "since": times[0],
            "left_out": 3,
            "most_parts": 5000,
            "exact": True,
            "alarm": alarm,
            "alarm_at": 100,
            "false_alarm_rate": 0.01,
            "martingale": [
                {"seq": index, "time": times[index], "log10": float(value)} for index, value in enumerate(path)
            ],
            "calibration": station.calibration,
            "recent": recent.tolist(),
            "tests": {"calibration": test, "start": {**test, "direction": "", "alarm": False}},
            "comparison": {"distance": 0.1, "p_value": 0.2, "higher": 0.55},
        }

    @app.post("/recipes/{recipe}/drift/restart")
    def restart(recipe: str, why: str = Body(embed=True)) -> Any:
        station.asked.append(("restart", recipe, {"why": why}))
        station.seen_to = True
        return drift(recipe)

    @app.get("/audit")
    def trail(limit: int = 100, before: int | None = None, recipe: str = "") -> Any:
        found = [one for one in station.entries[::-1] if recipe in ("", one["subject"])]
        page = [one for one in found if before is None or one["seq"] < before][:limit]
        return {"entries": page, "next": page[-1]["seq"] if len(page) == limit else None}

    @app.get("/audit/verify")
    def verify() -> Any:
        at = station.broken_at
        digest = station.entries[-1 if at is None else at - 2]["digest"]
        return {"whole": at is None, "entries": len(station.entries), "broken_at": at, "digest": digest}

    @app.get("/recipes/{recipe}/golden")
    def golden(recipe: str) -> Any:
        return {"golden": station.golden}

    @app.post("/recipes/{recipe}/golden")
    def add_golden(recipe: str, decision_id: str = Body(), truth: str = Body()) -> Any:
        one = find(decision_id)
        station.drawn[one["digest"]] = station.drawn[decision_id]
        station.know(one["digest"], one["name"], truth, one["score"], decision_id)
        return {}

    @app.delete("/recipes/{recipe}/golden/{digest}")
    def remove_golden(recipe: str, digest: str) -> Any:
        station.golden = [one for one in station.golden if one["digest"] != digest]
        return {}

    @app.get("/recipes/{recipe}/golden/{digest}/image")
    def golden_image(recipe: str, digest: str) -> Response:
        return Response(small_picture(station.drawn[digest].jpeg), media_type="image/jpeg")

    @app.get("/recipes/{recipe}/candidates")
    def candidates(recipe: str) -> Any:
        if station.candidate["state"] == "running":
            station.candidate["done"] += 20
            if station.candidate["done"] >= 34:
                station.candidate.update(state="idle", waiting=0)
                station.candidates.insert(0, station.candidate_of(True))
        return {**station.candidate, "candidates": station.candidates}

    @app.post("/recipes/{recipe}/candidates")
    def build(recipe: str) -> Any:
        station.candidate.update(state="running", stage="features", done=0, total=34)
        return {}

    @app.post("/recipes/{recipe}/candidates/{model}/activate")
    def activate(recipe: str, model: str) -> Any:
        station.activations.insert(0, station.activation(model, station.thresholds, "local", "candidate", 0))
        return {}

    return app


@contextmanager
def serving(app: FastAPI, *, port: int = 0) -> Any:
    """The app on a free port of loopback; gives the server."""
    server = uvicorn.Server(
        uvicorn.Config(app, host="127.0.0.1", port=port, log_level="warning", timeout_graceful_shutdown=3)
    )
    thread = threading.Thread(target=server.run)
    thread.start()
    while not server.started and thread.is_alive():
        thread.join(0.01)
    try:
        yield server
    finally:
        app.state.station.events.close()
        server.should_exit = True
        thread.join()


def port_of(server: uvicorn.Server) -> int:
    """Where it listens."""
    return server.servers[0].sockets[0].getsockname()[1]
