"""One module a command or group: it has a ``RANK`` (its place in the help) and ``register(app)``. Nothing lists them."""
