"""Runs that are stopped by signals, or lose a process: how they end, what they leave, and that they go on alike."""
