"""Match requests to routes, and respond to those that match none."""
