"""What a search or a comparison found: documents, tables, pictures."""
