"""Measurements of the project itself; what they print stands in docs/."""
