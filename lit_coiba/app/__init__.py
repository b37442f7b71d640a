"""A page in the browser: drop an image, see what models say of it and why."""
