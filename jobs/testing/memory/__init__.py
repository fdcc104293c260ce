"""The store in memory: the same ports with the same answers as on PostgreSQL, held to it by ``tests/contract``.

Its modules are named as those of ``jobs/adapters/postgres``; what one of them says about a rule holds here too.
"""
