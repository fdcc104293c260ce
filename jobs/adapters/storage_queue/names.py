"""The names that the queue service takes."""

QUEUE_NAME = r"(?=.{3,56}$)[a-z0-9]+(-[a-z0-9]+)*$"
"""Small letters, digits and single hyphens within: 3 to 63 of them, and so 56 at most, as ``-poison`` is added.
https://learn.microsoft.com/rest/api/storageservices/naming-queues-and-metadata
"""
