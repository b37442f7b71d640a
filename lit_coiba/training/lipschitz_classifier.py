"""Train a classifier whose decisions are certified: a 1-Lipschitz network with a loss of optimal transport.

Serrurier et al., Achieving robustness in classification using optimal transport with hinge regularization, 2021 (arXiv
2006.06520), and On the explainable properties of 1-Lipschitz neural networks, 2023 (arXiv 2206.06854).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Literal

import torch
from torch import Tensor

from lit_coiba.backbones import Backbone
from lit_coiba.core.errors import InputError, check_choice, check_positive
from lit_coiba.lipschitz.certificate import Certificate
from lit_coiba.lipschitz.constraint import constrain, exported
from lit_coiba.lipschitz.decisions import USUAL
from lit_coiba.lipschitz.orthogonal_convolution import Scheme, default_scheme
from lit_coiba.losses import SoftHKR, lse_hkr, multiclass_hkr, tau_cross_entropy
from lit_coiba.metrics.robustness.certified_accuracy import CertifiedAccuracy
from lit_coiba.training.certified_curve import RADII, certified_curve, log_figure
from lit_coiba.training.classifier import Classifier
from lit_coiba.training.hits import hits

Loss = Literal["hkr", "soft_hkr", "lse_hkr", "tau_ce"]
Convolution = Literal["auto", "aoc", "reshaped"]

EXPORTED = "exported"  # the key of a checkpoint under which the plain weights are
GRADIENTS = 16  # images of each batch whose gradient is measured
_UNUSED = ("head", "frozen", "trained_layers", "teacher", "mixup", "cutmix")


class LipschitzClassifier(Classifier):
    """A `Classifier` whose network is 1-Lipschitz: logits change at most as fast as pixels, so decisions have a radius.

    The backbone is a plain network, `lipschitz_cnn` or a wrapped ``nn.Sequential``; here its weights become functions
    of free parameters, which start at random. What is explained, exported and loaded is the plain network again:
    `network`, ``Backbone.load(checkpoint)`` and `ExportWeights` have weights that obey the constraint.

    Beside the measures of `Classifier` the loggers get ``val/certified_accuracy_36`` and so on, the share of right
    decisions that no change of that L2 norm (in 255ths of a pixel's range) can turn; ``val/gradient_norm``, that of the
    predicted class's margin over its constant, which is 1 at the optimum; and ``lipschitz_constant``, from pixels to a
    logit, measured. TensorBoard shows accuracy over the radius after each validation. ::

        model = LipschitzClassifier(Backbone("lipschitz_cnn", num_classes=20, image_size=64), loss="tau_ce")
        Trainer(max_epochs=10).fit(model, datamodule=SyntheticParts(multi_target=False))

    Args:
        backbone: The plain network, without weights of a file.
        loss: ``soft_hkr``, ``hkr`` (each class against the rest), ``lse_hkr``, or ``tau_ce``, cross-entropy with a
            temperature, the only one for soft targets.
        alpha: Share of the hinge in HKR, 0 to 1.
        margin: Full width of the band around the boundary that the hinge keeps free.
        temperature: tau of ``soft_hkr``, and the scale of the logits in ``tau_ce``: large for accuracy, small for
            radii; at least 1 / margin where both count.
        convolution: Kernels: ``aoc`` = orthogonal, by the package orthogonium; ``reshaped`` = bounded, which needs no
            package; ``auto`` = the first where it is installed.
        radii: Radii of the certified accuracies in the logs, L2 of pixels in [0, 1].
        weight_decay: Weight decay of the optimizer, of the free parameters.

    Raises:
        InputError: The backbone is no chain of layers with known constants or has weights of a file, a number is out of
            range, or something is asked for that would break the constraint or the loss.
    """

    def __init__(
        self,
        backbone: Backbone,
        loss: Loss = "soft_hkr",
        alpha: float = 0.9,
        margin: float = 1.0,
        temperature: float = 1.0,
        convolution: Convolution = "auto",
        radii: Sequence[float] = USUAL,
        weight_decay: float = 0.0,
        **classifier: Any,
    ) -> None:
        super().__init__(backbone, weight_decay=weight_decay, **classifier)
        self.loss: Loss = check_choice(loss, Loss, "loss")
        check_positive(margin=margin, temperature=temperature)
        if not 0 <= alpha <= 1:
            raise InputError(
                f"alpha is {alpha}: give a share from 0 to 1; what older code calls alpha is alpha / (1 + alpha)"
            )
        for name in _UNUSED:
            if classifier.get(name):
                raise InputError(f"{name} does not go with a constraint on the whole network: leave it out")
        if self.label_smoothing and loss != "tau_ce":
            raise InputError(f"label_smoothing is for tau_ce, and loss is {loss}: leave it out")
        if source := next((k for k in ("checkpoint", "pretrained") if self.backbone.arguments.get(k)), None):
            raise InputError(
                f"backbone.{source} is set, and no weights of a file are those of a constraint: leave it out, or go on"
                " with the checkpoint of a fit, --ckpt_path"
            )
        self.alpha, self.margin, self.temperature = alpha, margin, temperature
        self.radii = CertifiedAccuracy(radii).radii  # refuses negative ones
        self.convolution: Scheme = (
            default_scheme() if convolution == "auto" else check_choice(convolution, Convolution, "convolution")
        )
        own = ("loss", "alpha", "margin", "temperature", "convolution", "radii")
        self.save_hyperparameters({name: getattr(self, name) for name in own})
        constrain(self.backbone.model, self.backbone.preprocessing.size, self.convolution)
        self.soft_hkr = SoftHKR(alpha, margin, temperature)
        self._certificate: Certificate | None = None  # of the weights of the evaluation that runs
        self._curves: dict[str, CertifiedAccuracy] = {}
        self._plain: list[Any] = []  # the versions of the weights, and the plain network made of them

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Refuse weights that no constraint has made.

        Raises:
            InputError: The checkpoint is of an unconstrained classifier.
        """
        if not any(".parametrizations." in name for name in checkpoint["state_dict"]):
            raise InputError(
                "the checkpoint is of a network that is not 1-Lipschitz by constraint: load it with Classifier, or give"
                " a checkpoint of LipschitzClassifier"
            )
        super().on_load_checkpoint(checkpoint)

    @property
    def network(self) -> Backbone:
        """What is explained: a copy of the network with plain weights."""
        versions = [(id(tensor), tensor._version) for tensor in self.backbone.parameters()]
        if not self._plain or self._plain[0] != versions:
            self._plain = [versions, exported(self.backbone)]
        plain: Backbone = self._plain[1].train(self.training)
        return plain

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Put the plain weights beside the parameters that they are made of."""
        super().on_save_checkpoint(checkpoint)
        checkpoint[EXPORTED] = exported(self.backbone.model).state_dict()

    def objective(self, batch: Any, logits: Tensor, stage: str) -> Tensor:
        """The loss, scalar.

        Raises:
            InputError: Targets are probabilities, and the loss is not ``tau_ce``.
        """
        targets = batch[1]
        if self.loss == "tau_ce":
            smoothing = self.label_smoothing if stage == "train" else 0.0
            return tau_cross_entropy(logits, targets, self.temperature, smoothing)
        if targets.dim() == 2:
            raise InputError(
                f"loss {self.loss} is for samples of one class, and these have several: set data.multi_target to false,"
                " or take loss: tau_ce"
            )
        losses: dict[str, Callable[[], Tensor]] = {
            "hkr": lambda: multiclass_hkr(logits, targets, self.alpha, self.margin),
            "soft_hkr": lambda: self.soft_hkr(logits, targets),
            "lse_hkr": lambda: lse_hkr(logits, targets, self.alpha, self.margin),
        }
        return losses[self.loss]()

    def outcome(self, batch: Any, stage: str) -> tuple[Tensor, Tensor]:
        """Logits and loss; in an evaluation also what is certified."""
        logits, loss = super().outcome(batch, stage)
        if not self.training:
            self._log_certified(batch, logits, stage)
        return logits, loss

    def on_validation_epoch_start(self) -> None:
        """Measure the constant of the present weights."""
        self._begin("val")

    def on_test_epoch_start(self) -> None:
        """Measure the constant of the present weights."""
        self._begin("test")

    def on_validation_epoch_end(self) -> None:
        """Log the constant, and show accuracy over the radius."""
        if self._certificate is not None:
            self.log("lipschitz_constant", self._certificate.pixel_constant)
        curves = {name: metric.compute() for name, metric in self._curves.items()}  # all processes take part
        if curves and not self.trainer.sanity_checking:
            log_figure(self, "certified_accuracy", certified_curve(curves, self.radii))

    def _begin(self, stage: str) -> None:
        self._certificate = Certificate.measured(self.network.model, self.preprocessing)
        loaders = self.trainer.test_dataloaders if stage == "test" else self.trainer.val_dataloaders
        names = [self._named(stage, i) for i in range(len(loaders))] if isinstance(loaders, dict) else [stage]
        self._curves = {name: CertifiedAccuracy(RADII).to(self.device) for name in names}  # in all processes alike

    def _log_certified(self, batch: Any, logits: Tensor, stage: str) -> None:
        assert self._certificate is not None  # an evaluation has begun
        images, targets = batch[0], batch[1]
        radii, right = self._certificate.radius(logits), hits(logits, targets)
        self._curves[stage].update(radii, right)
        measures = {
            f"{stage}/certified_accuracy_{_named(radius)}": (right & (radii > radius)).float().mean()
            for radius in self.radii
        }
        norms = margin_gradient_norms(self.network, self._certificate, images[:GRADIENTS])
        weighing: dict[str, Any] = {"sync_dist": True, "add_dataloader_idx": False}
        self.log_dict(measures, batch_size=len(images), **weighing)
        self.log(f"{stage}/gradient_norm", norms.mean(), batch_size=len(norms), **weighing)


def margin_gradient_norms(backbone: Backbone, certificate: Certificate, images: Tensor) -> Tensor:
    """Norm of the gradient of the predicted class's margin over the next one, divided by its constant, ``(B,)``.

    Args:
        backbone: The network.
        certificate: Its certificate.
        images: Model input ``(B, 3, H, W)``.
    """
    with torch.inference_mode(False), torch.enable_grad():
        pixels = backbone.denormalize(images.detach().clone()).requires_grad_()
        logits = backbone(backbone.normalize(pixels)).float()
        top, classes = logits.topk(2, dim=1)
        (gradient,) = torch.autograd.grad((top[:, 0] - top[:, 1]).sum(), pixels)
    constants = certificate.margin_constants(classes[:, 0].cpu(), classes[:, 1].cpu())
    return gradient.flatten(1).norm(dim=1).cpu() / constants.to(gradient.dtype).clamp_min(1e-12)


def _named(radius: float) -> str:
    """A radius in 255ths where it is a whole number of them, as papers write it: 36 for 36 / 255."""
    scaled = radius * 255
    return f"{scaled:.0f}" if abs(scaled - round(scaled)) < 1e-6 and radius != 1 else f"{radius:g}"
