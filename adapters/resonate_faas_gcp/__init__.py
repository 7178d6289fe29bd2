"""resonate-faas on Google Cloud: promises in Firestore, messages by Cloud Tasks, an HTTP function.

The google libraries are imported when a store is made and when a message is sent.
"""

from resonate_faas_gcp._cloud_tasks_queue import CloudTasksQueue
from resonate_faas_gcp._cloud_tasks_rpc import cloud_tasks_channel
from resonate_faas_gcp._firestore_rpc import firestore_channel
from resonate_faas_gcp._firestore_store import FirestoreStore
from resonate_faas_gcp._handler import http_handler

__all__ = ["CloudTasksQueue", "FirestoreStore", "cloud_tasks_channel", "firestore_channel", "http_handler"]
