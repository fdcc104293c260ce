"""The commands of callers: enqueue, update, cancel, pause, resume, run now, retry, read."""
