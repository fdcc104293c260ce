"""The services that handlers are given, and the event loop of the async ones."""
