"""Schedules as other systems write them."""
