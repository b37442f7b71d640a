"""What each kind of page says, from what is known: one file for each."""
