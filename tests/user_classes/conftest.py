"""What pytest is not to collect here: a package that is no part of this repository once it is copied."""

collect_ignore = ["my_package"]
