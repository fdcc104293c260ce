"""Handlers: how they are declared, checked, found and called."""
