"""Plain networks without elastic code, one file a family: what extraction fills and exports rebuild."""
