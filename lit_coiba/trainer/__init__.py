"""Lightning's Trainer with the verbs that run over datasets."""

from lit_coiba.trainer.trainer import Trainer

__all__ = ["Trainer"]
