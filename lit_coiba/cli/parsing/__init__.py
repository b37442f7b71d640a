"""From words and config files to arguments, and what is wrong with them in one sentence."""
