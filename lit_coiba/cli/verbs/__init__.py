"""One file for the verbs of a kind."""
