"""Train interpretable vision models and explain any vision model at dataset scale, in one Lightning Trainer."""

__version__ = "0.1.0"
