"""Recurring jobs declared in a file."""
