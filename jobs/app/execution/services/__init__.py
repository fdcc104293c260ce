"""The services that are injected into handlers, and the event loop of async handlers."""
