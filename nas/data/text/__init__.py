"""Texts as numbered words."""
