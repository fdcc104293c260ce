"""Recurring jobs kept in a file."""
