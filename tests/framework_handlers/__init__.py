"""Handlers for the framework's own tests, so that none of them needs the samples or yours."""
