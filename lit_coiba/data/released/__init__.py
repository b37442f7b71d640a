"""Published datasets, read as they are released."""
