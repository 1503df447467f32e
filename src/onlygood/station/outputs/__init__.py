"""Where decisions go, besides the record and the answer: webhooks, MQTT, sorted files, OPC UA."""

from __future__ import annotations

from onlygood.station.errors import StationError
from onlygood.station.outputs.base import Output
from onlygood.station.settings import Settings

VERDICTS = ("OK", "REVIEW", "NG")

__all__ = ["Output", "open_outputs"]


def open_outputs(settings: Settings) -> list[Output]:
    """The outputs that the settings ask for, not yet started.

    Returns:
        Each has `start()`, `send(decision)` (returns at once), `state` and `stop(timeout)`, which delivers what waits.

    Raises:
        StationError: A setting cannot be used.
        MissingDependencyError: The package of an output is not installed.
    """
    outputs: list[Output] = []
    for webhook in settings.webhooks:
        from onlygood.station.outputs.webhook import WebhookOut

        _check("a webhook", webhook.verdicts, webhook.queue)
        outputs.append(WebhookOut(webhook))
    if settings.mqtt is not None:
        from onlygood.station.outputs.mqtt import MqttOut

        _check("MQTT", settings.mqtt.verdicts, settings.mqtt.queue)
        outputs.append(MqttOut(settings.mqtt))
    if settings.sort_out is not None:
        from onlygood.station.outputs.sorting import SortedOut

        _check("`sort_out`", settings.sort_out.verdicts)
        kept = {"all": set(VERDICTS), "review": {"REVIEW", "NG"}}.get(settings.keep, set())
        if not kept.issuperset(settings.sort_out.verdicts):
            raise StationError(
                f"`sort_out` copies kept images, and with keep = {settings.keep!r} not all of its verdicts are kept. "
                "Keep more, or name fewer `verdicts` there."
            )
        outputs.append(SortedOut(settings.sort_out, settings.data / "pictures"))
    if settings.opcua is not None:
        from onlygood.station.outputs.opcua import OpcUaOut

        outputs.append(OpcUaOut(settings.opcua, settings.models))
    return outputs


def _check(what: str, verdicts: tuple[str, ...], queue: int = 1) -> None:
    unknown = sorted(set(verdicts) - set(VERDICTS))
    if unknown or not verdicts:
        raise StationError(f"`verdicts` of {what} must name one or more of {', '.join(VERDICTS)}, not {unknown}.")
    if queue < 1:
        raise StationError(f"`queue` of {what} must be 1 or more, not {queue}.")
