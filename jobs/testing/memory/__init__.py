"""The store in memory: the same ports with the same behaviour as on PostgreSQL, verified by ``tests/contract``.

Its modules have the names of those in ``jobs/adapters/postgres``, whose comments on the rules apply here too.
"""
