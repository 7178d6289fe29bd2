"""Replay: the driver of coroutines and generators, the context, futures, ids, codec, retry, registry. No I/O."""
