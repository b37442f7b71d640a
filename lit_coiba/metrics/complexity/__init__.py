"""What is a map like: simple, sparse, in one place? Form says nothing about truth."""
