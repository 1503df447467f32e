"""An OPC UA server with the last decision and the counters of each recipe, to read and to subscribe to."""

from __future__ import annotations

import asyncio
import contextlib
import datetime
import logging
import threading
from collections import Counter
from collections.abc import Collection, Coroutine
from typing import TYPE_CHECKING, Any

from onlygood.errors import require
from onlygood.station.decisions import Decision
from onlygood.station.outputs.base import Output
from onlygood.station.settings import OpcUa

if TYPE_CHECKING:
    from asyncua import Node, Server

#: The namespace of the nodes.
NAMESPACE = "urn:onlygood:station"

#: A server makes some thousand standard nodes before it listens.
START_SECONDS, STOP_SECONDS = 120.0, 5.0

#: The time that stands for none (OPC UA, part 6, 5.2.2.5).
NEVER = datetime.datetime(1601, 1, 1, tzinfo=datetime.UTC)

#: Variables of a recipe with their OPC UA types, in the order in which they are written: who waits for a new `Id` finds
#: all of its decision.
VARIABLES = {
    "Verdict": "String",
    "Score": "Double",
    "PValue": "Double",
    "NgThreshold": "Double",
    "ReviewThreshold": "Double",
    "Reason": "String",
    "Regions": "UInt32",
    "Time": "DateTime",
    "Name": "String",
    "Source": "String",
    "Model": "String",
    "CountOk": "UInt64",
    "CountReview": "UInt64",
    "CountNg": "UInt64",
    "Id": "String",
}


class OpcUaOut(Output):
    """Serves `Objects/Onlygood/RECIPE/VARIABLE`, node ids `ns=N;s=RECIPE/VARIABLE`; clients may read, nobody may write.

    The counters begin at 0 with each start. Before the first decision the texts are empty and the scores not a number.
    The server has no encryption and asks for no password: it is for the loopback or a network of the machine.

    Args:
        settings: The address to listen on.
        recipes: Whose nodes are there from the start; others appear with their first decision.

    Raises:
        MissingDependencyError: `asyncua` is not installed.
    """

    def __init__(self, settings: OpcUa, recipes: Collection[str]) -> None:
        require("asyncua", "opcua", "The OPC UA server")
        super().__init__("opcua")
        self._endpoint = settings.endpoint
        self._recipes = tuple(recipes)
        self._counts: Counter[tuple[str, str]] = Counter()
        self._nodes: dict[str, dict[str, Node]] = {}
        self._loop: asyncio.AbstractEventLoop | None = None
        self._server: Server | None = None

    def _open(self) -> None:
        self._loop = asyncio.new_event_loop()
        threading.Thread(target=self._loop.run_forever, name="opcua-loop", daemon=True).start()
        logging.getLogger("asyncua").setLevel(logging.ERROR)  # it warns of every client that has no certificate
        self._wait(self._serve(), START_SECONDS)
        self._fine()

    def _close(self) -> None:
        if self._loop is None:
            return
        if self._server is not None:
            with contextlib.suppress(Exception):  # it is the end of it either way
                self._wait(self._server.stop(), STOP_SECONDS)
        with contextlib.suppress(Exception):
            self._wait(self._loop.shutdown_default_executor(), STOP_SECONDS)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._server = self._loop = None

    def _deliver(self, decision: Decision) -> None:
        self._counts[decision.recipe, str(decision.verdict)] += 1
        self._wait(self._write(decision))

    def _wait(self, work: Coroutine[Any, Any, None], seconds: float = 30.0) -> None:
        assert self._loop is not None
        asyncio.run_coroutine_threadsafe(work, self._loop).result(seconds)

    async def _serve(self) -> None:
        from asyncua import Server
        from asyncua.crypto.permission_rules import SimpleRoleRuleset, User, UserRole
        from asyncua.server.user_managers import UserManager

        class Readers(UserManager):
            """Whoever comes may read."""

            def get_user(self, *_: Any, **__: Any) -> User:
                return User(UserRole.User)

        ua = _types()
        server = Server(user_manager=Readers())
        await server.init()
        server.set_endpoint(self._endpoint)
        server.set_server_name("onlygood")
        server.set_security_policy([ua.SecurityPolicyType.NoSecurity], permission_ruleset=SimpleRoleRuleset())
        server.set_identity_tokens([ua.AnonymousIdentityToken])
        self._index = await server.register_namespace(NAMESPACE)
        self._folder = await server.nodes.objects.add_folder(
            ua.NodeId("Onlygood", self._index), ua.QualifiedName("Onlygood", self._index)
        )
        self._nodes = {}
        for recipe in self._recipes:
            await self._add(recipe)
        self._server = server
        await server.start()

    async def _add(self, recipe: str) -> None:
        """The nodes of a recipe, without a decision."""
        ua = _types()
        empty: dict[str, Any] = {"String": "", "Double": float("nan"), "UInt32": 0, "UInt64": 0, "DateTime": NEVER}
        parent = await self._folder.add_object(ua.NodeId(recipe, self._index), ua.QualifiedName(recipe, self._index))
        nodes = {}
        for name, kind in VARIABLES.items():
            nodes[name] = await parent.add_variable(
                ua.NodeId(f"{recipe}/{name}", self._index),
                ua.QualifiedName(name, self._index),
                empty[kind],
                varianttype=ua.VariantType[kind],
                datatype=ua.NodeId(getattr(ua.ObjectIds, kind)),
            )
        self._nodes[recipe] = nodes

    async def _write(self, decision: Decision) -> None:
        ua = _types()
        recipe = decision.recipe
        if recipe not in self._nodes:
            await self._add(recipe)
        values: dict[str, Any] = {
            "Verdict": str(decision.verdict),
            "Score": decision.score,
            "PValue": decision.p_value,
            "NgThreshold": decision.thresholds.ng,
            "ReviewThreshold": decision.thresholds.review,
            "Reason": decision.reason,
            "Regions": len(decision.regions),
            "Time": decision.time,
            "Name": decision.name,
            "Source": decision.source,
            "Model": decision.model,
            "CountOk": self._counts[recipe, "OK"],
            "CountReview": self._counts[recipe, "REVIEW"],
            "CountNg": self._counts[recipe, "NG"],
            "Id": decision.id,
        }
        for name, kind in VARIABLES.items():
            value = ua.Variant(values[name], ua.VariantType[kind])
            await self._nodes[recipe][name].write_value(ua.DataValue(value, SourceTimestamp=decision.time))


def _types() -> Any:
    """The types of asyncua, which take plain numbers and texts and do not say so."""
    from asyncua import ua

    return ua
