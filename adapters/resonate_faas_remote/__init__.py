"""Our functions on an official Resonate server: sessions, client and workers over its protocol."""

from resonate_faas_remote._poll_worker import PollWorker
from resonate_faas_remote._pushed_app import SERVERS_WORD, PushedApp, connecting
from resonate_faas_remote._remote_node import RemoteNode, id_separator, server_url

__all__ = [
    "SERVERS_WORD",
    "PollWorker",
    "PushedApp",
    "RemoteNode",
    "connecting",
    "id_separator",
    "server_url",
]
