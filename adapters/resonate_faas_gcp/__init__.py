"""resonate-faas on Google Cloud: promises in Firestore. The google libraries are imported when a store is made."""

from resonate_faas_gcp._firestore_rpc import firestore_channel
from resonate_faas_gcp._firestore_store import FirestoreStore

__all__ = ["FirestoreStore", "firestore_channel"]
