"""A model and how images are optimized for what is in it, for ``Trainer.visualize``."""

from __future__ import annotations

from lit_coiba.backbones import Backbone
from lit_coiba.core.errors import InputError, class_or_kind
from lit_coiba.feature_visualization.visualizer import FeatureVisualizer
from lit_coiba.heads.head import Head
from lit_coiba.modules.block_module import BlockModule


class VisualizationModule(BlockModule):
    """A model, and the visualizer that optimizes images for its classes, channels, concepts or units.

    Args:
        backbone: The model.
        visualizer: How images are optimized: `MACO` or `FourierBaseline`.
        weights: File with the weights of a trained classifier, a Lightning checkpoint or safetensors; they replace the
            backbone's, and the head that they were trained with is attached.
        head: Class of that head, if it is one of your own: a file never imports a class.

    Raises:
        InputError: The visualizer is none.
    """

    def __init__(
        self,
        backbone: Backbone,
        visualizer: FeatureVisualizer,
        weights: str | None = None,
        head: type[Head] | None = None,
    ) -> None:
        if not isinstance(visualizer, FeatureVisualizer):
            raise InputError(f"visualizer is {class_or_kind(visualizer)}: give one, such as MACO()")
        super().__init__(backbone, weights, head)
        self.visualizer = visualizer
