"""The guard of a node replaces the one that the business code asks for, also where an official server is worked for."""

from __future__ import annotations

from tests.guards.hasty import resonate
from tests.remote.wire import URL, AppTransport, Everybody, server_at

from resonate_faas import Invocation
from resonate_faas._clock import SystemClock
from resonate_faas._http import App
from resonate_faas._machine.objects import Execute
from resonate_faas._worker import Ended
from resonate_faas_remote import RemoteNode


def test_a_node_for_an_official_server_is_told_its_guard() -> None:
    clock = SystemClock()
    wire = AppTransport(App(server_at(clock), Everybody()))
    ended = []
    for guard in (None, "error"):
        with RemoteNode(resonate, URL, guard=guard, heartbeats=False, clock=clock, transport=wire) as node:
            root = node.client.invoke(Invocation(function="hasty"))
            ended.append(node.execute(Execute(id=root.id, version=0, target="")))
    assert ended == [Ended.DONE, Ended.RELEASED]
