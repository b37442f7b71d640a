"""What help says."""
