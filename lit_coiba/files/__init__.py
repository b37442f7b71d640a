"""The one way files come in and go out: bounded, whole, of the kind that was expected, and only where we may."""
