"""Numbers for Prometheus: what was decided, how long it took, what waits, what was refused."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from onlygood.station.decisions import Decision

if TYPE_CHECKING:  # that room stands above this one
    from onlygood.station.learning.drift import Standing

#: Bounds of the histograms, seconds.
BUCKETS = (0.002, 0.005, 0.01, 0.02, 0.035, 0.05, 0.075, 0.1, 0.15, 0.25, 0.5, 1, 2.5, 5, 10, 30)


class Telemetry:
    """The numbers of one station."""

    content_type = "text/plain; version=0.0.4; charset=utf-8"

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        kept = {"namespace": "onlygood", "registry": self.registry}
        self._decisions = Counter("decisions", "Decisions that were recorded.", ["recipe", "verdict"], **kept)  # type: ignore[arg-type]
        self._errors = Counter("errors", "Requests and images that were refused or failed.", ["code"], **kept)  # type: ignore[arg-type]
        self._inspect = Histogram(
            "inspect_seconds",
            "From bytes to verdict.",
            ["recipe"],
            buckets=BUCKETS,
            **kept,  # type: ignore[arg-type]
        )
        self._wait = Histogram("wait_seconds", "From arrival to the start of inspecting.", buckets=BUCKETS, **kept)  # type: ignore[arg-type]
        self._record = Histogram("record_seconds", "Until the record has a decision.", buckets=BUCKETS, **kept)  # type: ignore[arg-type]
        self._queue = Gauge("queue_depth", "Images that wait or are worked on.", **kept)  # type: ignore[arg-type]
        self._journal = Gauge("journal_backlog", "Decisions in the journal that the database lacks.", **kept)  # type: ignore[arg-type]
        self._database = Gauge("database_up", "1 while the database takes decisions.", **kept)  # type: ignore[arg-type]
        self._model = Gauge("model_info", "1 for the model on duty.", ["recipe", "model", "method"], **kept)  # type: ignore[arg-type]
        self._on_duty: dict[str, tuple[str, str, str]] = {}

    def decided(self, decision: Decision, record_seconds: float) -> None:
        """Count a decision that is recorded."""
        self._decisions.labels(decision.recipe, str(decision.verdict)).inc()
        self._inspect.labels(decision.recipe).observe(decision.inspect_ms / 1000)
        self._wait.observe(decision.wait_ms / 1000)
        self._record.observe(record_seconds)

    def refused(self, code: str) -> None:
        """Count an error by its code."""
        self._errors.labels(code).inc()

    def on_duty(self, recipe: str, model: str, method: str) -> None:
        """Tell which model answers for a recipe."""
        before = self._on_duty.get(recipe)
        if before:
            self._model.remove(*before)
        self._on_duty[recipe] = recipe, model, method
        self._model.labels(recipe, model, method).set(1)

    def watch(self, queue: Callable[[], float], journal: Callable[[], float], database: Callable[[], float]) -> None:
        """Take these when asked: images waiting, decisions in the journal, whether the database answers."""
        self._queue.set_function(queue)
        self._journal.set_function(journal)
        self._database.set_function(database)

    def watch_drift(self, standing: Callable[[], Sequence[Standing]]) -> None:
        """Take this when asked: how the watch over drift stands, for each recipe."""
        self.registry.register(_DriftNumbers(standing))

    def text(self) -> bytes:
        """Prometheus' text format."""
        return generate_latest(self.registry)


class _DriftNumbers(Collector):
    """Asked for at each scrape, so that a recipe whose run begins anew leaves no old number behind."""

    def __init__(self, standing: Callable[[], Sequence[Standing]]) -> None:
        self._standing = standing

    def describe(self) -> Iterator[GaugeMetricFamily]:
        """Names alone: at the start there is nothing to ask yet."""
        yield from self._families()

    def collect(self) -> Iterator[GaugeMetricFamily]:
        """One sample for each recipe, of the capital one for each test."""
        alarm, parts, left_out, capital = families = self._families()
        for one in self._standing():
            alarm.add_metric([one.recipe], float(one.alarm is not None))
            parts.add_metric([one.recipe], one.parts)
            left_out.add_metric([one.recipe], one.left_out)
            for against, value in one.capital.items():
                capital.add_metric([one.recipe, against], value)
        yield from families

    def _families(self) -> tuple[GaugeMetricFamily, ...]:
        words = {
            "alarm": "1 while a drift alarm stands that nobody has seen to.",
            "parts": "Parts below the NG threshold since the run of the drift tests began.",
            "left_out_parts": "Parts at or above the NG threshold since the run of the drift tests began.",
            "capital": "Test martingale of the drift tests: 1 at the start of a run, the alarm is raised at 200.",
        }
        labels = {"capital": ["recipe", "against"]}
        return tuple(
            GaugeMetricFamily(f"onlygood_drift_{name}", text, labels=labels.get(name, ["recipe"]))
            for name, text in words.items()
        )
