"""Errors and outages in words, for the history and the log."""
