"""Readers of files: images, tables, boxes, lists."""
