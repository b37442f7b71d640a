"""Metrics of prototypes that need no human: each accumulates over a stream of images, and knows no model."""
