"""A model that several methods explain, for the Trainer's ``compare``."""

from __future__ import annotations

from lit_coiba.backbones import Backbone
from lit_coiba.core.batch import Batch
from lit_coiba.core.method import AttributionMethod
from lit_coiba.core.targets import Target, parse_target
from lit_coiba.heads.head import Head
from lit_coiba.metrics.metric import Metric
from lit_coiba.modules.block_module import BlockModule
from lit_coiba.modules.explainer import Explainer
from lit_coiba.store import BlockRecord


class MethodComparison(BlockModule):
    """A model, what is explained of it, and methods and metrics of your own.

    Args:
        backbone: The model.
        methods: Methods of your own by the names of their rows; ours are named in `Trainer.compare`.
        targets: What to explain; see `Explainer`.
        metrics: Metrics by the names of their columns, in the place of a suite.
        weights: File with the weights of a trained classifier; see `Explainer`.
        head: Class of that classifier's head, if it is one of your own: a file never imports a class.

    Raises:
        InputError: The model does not have the target.
    """

    def __init__(
        self,
        backbone: Backbone,
        methods: dict[str, AttributionMethod] | None = None,
        targets: Target | str | int = "predicted",
        metrics: dict[str, Metric] | None = None,
        weights: str | None = None,
        head: type[Head] | None = None,
    ) -> None:
        super().__init__(backbone, weights, head)
        self.check_classes()
        self.methods = dict(methods or {})
        self.targets = targets
        self.metrics = metrics
        parse_target(targets).check(backbone.num_classes)

    def explainer(self, method: AttributionMethod) -> Explainer:
        """The model and one method."""
        explainer = Explainer(self.network, method, self.targets)
        explainer.weights = self.weights
        return explainer

    def predict_step(self, batch: Batch) -> BlockRecord:
        """Not used: the Trainer runs the explainers and the scorer."""
        raise NotImplementedError("Trainer.compare runs the explainers and the scorer of this module")
