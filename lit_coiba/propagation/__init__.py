"""Rules that walk a network: attention, relevance, steps in place."""
