"""The users' test kit: one harness over a world in memory or a deployment, and the checks of the rules."""
