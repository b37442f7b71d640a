"""Train a classifier whose saliency lies where people say the evidence is.

Fel et al., Harmonizing the object recognition strategies of deep neural networks with humans, NeurIPS 2022 (arXiv
2211.04533).
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from lit_coiba.backbones import Backbone
from lit_coiba.core.errors import InputError, check_choice, check_count, check_not_negative, check_positive
from lit_coiba.functional import spearman
from lit_coiba.functional.importance import smooth_importance
from lit_coiba.functional.reliance import PARTS, without_part
from lit_coiba.losses.harmonization import (
    Saliency,
    evaluation_saliency,
    harmonization_loss,
    target_logit,
    training_saliency,
)
from lit_coiba.training.classifier import Classifier
from lit_coiba.training.double_backward import DoubleBackward
from lit_coiba.training.hits import hits
from lit_coiba.training.optimization import decayed
from lit_coiba.training.saliency_pictures import SaliencyPictures

DEGENERATE = "alignment_undefined"


class HarmonizedClassifier(Classifier):
    """A `Classifier` with a second loss: the distance between its saliency and a human map, at several scales.

    The loss is ``CE + weight * L_H + l2 / 2 * |w|^2``, see `losses.harmonization_loss`. Images without a map count in
    the cross-entropy alone, so that data with maps and data without can be mixed. The gradient of the images is
    differentiated again: a step costs three to four times that of a plain one.

    Beside the measures of `Classifier` the loggers get ``train/harmonization`` and, of the images with a map,
    ``val/alignment``: Spearman's correlation of the absolute gradient with the map, 0 where one of them is constant,
    which ``val/alignment_undefined`` counts as a share. Alignment is not reliance: beside it stand the accuracy and the
    true class's logit without what people marked (``val/accuracy_without_marked``, ``val/logit_without_marked``) and
    without all the rest (``..._without_rest``), where the mean takes its place. TensorBoard also shows the saliency of
    a few images after each validation. ::

        model = HarmonizedClassifier(Backbone("resnet18", num_classes=10), weight=1.0)
        Trainer(max_epochs=10).fit(model, datamodule=ImageFolder("images", importance="maps"))

    Args:
        backbone: The network; its gradient must have a gradient.
        weight: Weight of the harmonization loss, lambda_H of the paper; 0 = the cross-entropy alone.
        levels: Number of levels of the pyramid.
        saliency: Gradient that is trained: ``signed`` = mean over the channels, as in the public code; ``absolute`` =
            of its absolute values; ``margin`` = of the target's logit less the largest other one.
        map_side: Rows and columns of the grid on which human maps are smoothed.
        map_taps: Pixels of the Gaussian window that smooths them, odd; 1 = no smoothing.
        map_sigma: Standard deviation of that Gaussian, in pixels of the grid.
        l2: Weight of the squared norm of the weights in the loss, lambda_W of the paper; without norms, biases and
            embeddings.
        label_smoothing: Share of each training target that is spread over all classes.
        weight_decay: Weight decay of the optimizer; the paper decays by `l2` instead.
        pictures: Number of validation images whose saliency is shown in TensorBoard.

    Raises:
        InputError: A number is out of range; images are mixed or lack parts, of which no map is known; or, when a fit
            begins, a layer has no second derivative.
    """

    uses_importance = True  # data modules give the maps along

    def __init__(
        self,
        backbone: Backbone,
        weight: float = 1.0,
        levels: int = 5,
        saliency: Saliency = "signed",
        map_side: int = 64,
        map_taps: int = 11,
        map_sigma: float = 10.0,
        l2: float = 1e-5,
        label_smoothing: float = 0.1,
        weight_decay: float = 0.0,
        pictures: int = 8,
        **classifier: Any,
    ) -> None:
        super().__init__(backbone, label_smoothing=label_smoothing, weight_decay=weight_decay, **classifier)
        check_not_negative(weight=weight, l2=l2)
        check_positive(map_sigma=map_sigma)
        check_count(levels=levels, map_side=map_side, map_taps=map_taps)
        for name in ("mixup", "cutmix", "remove_cell", "remove_pixels"):
            if classifier.get(name):
                raise InputError(f"{name} changes images, and no human map is of the changed ones: leave it out")
        self.weight, self.levels, self.saliency = weight, levels, check_choice(saliency, Saliency, "saliency")
        self.map_side, self.map_taps, self.map_sigma = map_side, map_taps, map_sigma
        self.l2, self.pictures = l2, pictures
        own = ("weight", "levels", "saliency", "map_side", "map_taps", "map_sigma", "l2", "pictures")
        self.save_hyperparameters({name: getattr(self, name) for name in own})
        self._double: DoubleBackward | None = None
        self._shown = SaliencyPictures(pictures)
        self._mapped = torch.zeros((), dtype=torch.int64)  # images with a map so far

    def on_fit_start(self) -> None:
        """Look whether the gradient can be differentiated.

        Raises:
            InputError: A layer has no second derivative.
        """
        super().on_fit_start()
        self.backbone.train()
        self.on_train_epoch_start()
        self._double = DoubleBackward(self.backbone) if self.weight else None

    def outcome(self, batch: Any, stage: str) -> tuple[Tensor, Tensor]:
        """Logits and loss; in an evaluation also how far saliency and maps agree, and what the model relies on."""
        if not self.training:
            return self._evaluated(batch, stage)
        if self._double is None:
            return super().outcome(batch, stage)
        self._mapped = self._mapped.to(batch.mapped.device) + batch.mapped.sum()
        images = batch.images.detach().requires_grad_()
        with self._double.possible():
            logits = self(images).float()
            gradient = training_saliency(logits, images, batch.targets, self.saliency)
        distance = harmonization_loss(gradient, self._smoothed(batch.importance), batch.mapped, self.levels)
        self.log("train/harmonization", distance, batch_size=len(images))
        return logits, self.objective(batch, logits, stage) + self.weight * distance

    def objective(self, batch: Any, logits: Tensor, stage: str) -> Tensor:
        """Cross-entropy, or the teacher's loss; in training with the squared norm of the weights."""
        loss = super().objective(batch, logits, stage)
        if stage == "train" and self.l2:
            loss = loss + self.l2 / 2 * torch.stack([one.square().sum() for one in decayed(self)]).sum()
        return loss

    def on_train_epoch_end(self) -> None:
        """Refuse to go on where no image had a map.

        Raises:
            InputError: None had.
        """
        super().on_train_epoch_end()
        if self._double is not None and not int(torch.as_tensor(self.all_gather(self._mapped)).sum()):
            raise InputError(
                "no training image has an importance map, so nothing was harmonized: give maps, data.importance of"
                " ImageFolder, or boxes in its csv, or train a Classifier"
            )

    def on_validation_epoch_start(self) -> None:
        """New pictures."""
        self._shown.begin()

    def on_validation_epoch_end(self) -> None:
        """Show the saliency of a few images."""
        self._shown.log(self)

    def _evaluated(self, batch: Any, stage: str) -> tuple[Tensor, Tensor]:
        logits, maps = evaluation_saliency(lambda images: self(images).float(), batch.images, batch.targets)
        known = batch.mapped
        if known.any():
            importance = self._smoothed(batch.importance[known])
            self._shown.add(batch.images[known], maps[known], importance)
            self._log_alignment(maps[known], importance, stage)
            self._log_reliance(batch.images[known], batch.targets[known], logits[known], importance, stage)
        return logits, self.objective(batch, logits, stage)

    def _log_alignment(self, maps: Tensor, importance: Tensor, stage: str) -> None:
        rho = spearman(maps.flatten(1), importance.flatten(1))
        undefined = rho.isnan()
        self._log(stage, len(maps), alignment=rho.nan_to_num(0.0).mean(), alignment_undefined=undefined.double().mean())

    def _log_reliance(self, images: Tensor, targets: Tensor, logits: Tensor, importance: Tensor, stage: str) -> None:
        """Accuracy and the logit of the truth without what is marked, and without the rest."""
        for part in PARTS:
            without = self(without_part(images, importance, part)).float()
            change = target_logit(without, targets) - target_logit(logits, targets)
            right = hits(without, targets).float().mean()
            self._log(stage, len(images), **{f"accuracy_without_{part}": right, f"logit_without_{part}": change.mean()})

    def _log(self, stage: str, count: int, **measures: Tensor) -> None:
        named = {f"{stage}/{name}": value.float() for name, value in measures.items()}
        self.log_dict(named, batch_size=count, sync_dist=True, add_dataloader_idx=False)

    def _smoothed(self, importance: Tensor) -> Tensor:
        return smooth_importance(importance, self.map_side, self.map_taps, self.map_sigma)
