"""What every other folder is built on: errors, batches, explanations, grids, networks, targets, the base of methods."""
