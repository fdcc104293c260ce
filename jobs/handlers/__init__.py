"""Your handlers: one file per handler, and ``dependencies.py`` with your providers. An upgrade leaves them alone."""
