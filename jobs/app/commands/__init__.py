"""What callers do with jobs: enqueue, update, cancel, pause, resume, run now, retry, read."""
