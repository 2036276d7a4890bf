"""A Python application in a small container image."""
