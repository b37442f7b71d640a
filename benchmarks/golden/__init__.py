"""Golden numbers; see ``__main__``."""
