"""Real servers on loopback with real clients."""
