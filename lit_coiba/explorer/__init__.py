"""A site of what is known of a model: classes, concepts, prototypes, explanations and failures, read from disk."""
