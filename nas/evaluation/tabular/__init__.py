"""Answers from a benchmark's table."""
