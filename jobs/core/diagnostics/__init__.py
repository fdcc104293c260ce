"""Text for errors and outages, for the history and the log."""
