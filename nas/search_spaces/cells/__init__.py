"""Spaces of repeated cells."""
