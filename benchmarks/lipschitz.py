"""A 1-Lipschitz network beside its twin without the constraint: certificates, gradients, quality of plain saliency.

    python -m benchmarks.lipschitz --twin FILE [--lipschitz FILE] [--temperature 8] [--images 200]

Both are files of `ExportWeights`, of one architecture, on the test split of SyntheticParts. Printed are accuracy
and certified accuracy, quantiles of the norm of the gradient of the margin over the next class (over its constant where
there is a certificate), and of plain saliency its stability (mean change of the map under noise of 0.05 in pixels,
relative to the map), its Spearman correlation with that of the noisy image, and deletion (area under the probability's
curve; lower is better) beside that of random maps. Logits of a 1-Lipschitz network are small, so that its
probabilities are those of the temperature that it was trained with.
"""

from __future__ import annotations

import argparse
from copy import deepcopy

import torch
from torch import Tensor

from lit_coiba.attribution import RandomMap, Saliency
from lit_coiba.backbones import Backbone
from lit_coiba.core.errors import InputError
from lit_coiba.core.method import AttributionMethod
from lit_coiba.data import SyntheticParts
from lit_coiba.functional import keyed_noise, spearman
from lit_coiba.lipschitz import Certificate
from lit_coiba.metrics import AverageStability, CertifiedAccuracy, Deletion

QUANTILES = (0.0, 0.1, 0.25, 0.5, 0.75, 0.9, 1.0)
NOISE = 0.05  # of pixels in [0, 1]


def test_images(backbone: Backbone, count: int) -> tuple[Tensor, Tensor]:
    """Model input ``(count, 3, H, W)`` and labels of the first test samples."""
    drawn = SyntheticParts(multi_target=False).drawn("test")
    return backbone.normalize(drawn.batch(list(range(count))) / 255), torch.tensor(drawn.labels[:count])


def tempered(backbone: Backbone, temperature: float) -> Backbone:
    """A copy whose logits are larger by a factor."""
    copy = deepcopy(backbone)
    with torch.no_grad():
        for parameter in copy.model.get_classifier().parameters():
            parameter.mul_(temperature)
    return copy


def margin_gradients(backbone: Backbone, images: Tensor) -> tuple[Tensor, Tensor]:
    """Norm of the gradient, by pixels, of the largest logit minus the next ``(B,)``, and the two classes ``(2, B)``."""
    pixels = backbone.denormalize(images).requires_grad_()
    top, classes = backbone(backbone.normalize(pixels)).topk(2, dim=1)
    (gradient,) = torch.autograd.grad((top[:, 0] - top[:, 1]).sum(), pixels)
    return gradient.flatten(1).norm(dim=1), classes.T


def quality(backbone: Backbone, images: Tensor, method: AttributionMethod) -> dict[str, float]:
    """Stability, correlation and deletion of a method's maps, means over images."""
    ids = [str(i) for i in range(len(images))]
    maps = method.attribute(backbone, images)
    noisy = (
        images
        + backbone.normalize(NOISE * keyed_noise(0, ids, "noise", images.shape[1:]))
        - backbone.normalize(torch.zeros_like(images))
    )
    moved = method.attribute(backbone, noisy, backbone(images).argmax(1))
    stability = AverageStability(NOISE, "both", draws=5, relative=True, space="pixels")
    stable = stability.score(backbone, images, None, maps, method.attribute, ids)
    return {
        "change": stable.mean().item(),
        "correlation": spearman(maps.flatten(1), moved.flatten(1)).mean().item(),
        "deletion": Deletion(steps=32).score(backbone, images, None, maps).mean().item(),
    }


def report(name: str, backbone: Backbone, images: Tensor, labels: Tensor, shown: int, temperature: float) -> None:
    """Print what is measured of one network."""
    with torch.no_grad():
        logits = torch.cat([backbone(part) for part in images.split(100)])
    right = logits.argmax(1) == labels
    print(f"{name}: accuracy {right.double().mean():.1%} of {len(labels):,}")
    norms, classes = margin_gradients(backbone, images)
    try:
        certificate = Certificate.of(backbone)
    except InputError as error:
        print(f"  {error}")
        print(f"  constant {Certificate.measured(backbone.model, backbone.preprocessing).pixel_constant:.4g}")
    else:
        accuracy = CertifiedAccuracy()
        accuracy.update(radii := certificate.radius(logits), right)
        found = ", ".join(f"{r:.4f} {v:.1%}" for r, v in zip(accuracy.radii, accuracy.compute().tolist()))
        print(f"  constant {certificate.pixel_constant:.6f}; certified accuracy by radius: {found}")
        print(f"  median radius {radii.median():.4f}")
        norms = norms / certificate.margin_constants(*classes).to(norms)
    shares = ", ".join(f"{norms.quantile(q):.3g}" for q in QUANTILES)
    print(f"  gradient norm, quantiles {QUANTILES}: {shares}; mean {norms.mean():.4g}")
    probable = tempered(backbone, temperature)
    for method in (Saliency(), RandomMap()):
        found = quality(probable, images[:shown], method)
        print(f"  {type(method).__name__:<10}" + "".join(f"  {key} {value:.4f}" for key, value in found.items()))


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--lipschitz", default="checkpoints/lipschitz_synthetic_parts.safetensors")
    parser.add_argument("--twin", required=True)
    parser.add_argument("--temperature", type=float, default=8.0)
    parser.add_argument("--images", type=int, default=200)
    options = parser.parse_args()
    constrained, twin = Backbone.load(options.lipschitz).eval(), Backbone.load(options.twin).eval()
    images, labels = test_images(constrained, 1000)
    report("1-Lipschitz", constrained, images, labels, options.images, options.temperature)
    report("its twin", twin, images, labels, options.images, 1.0)


if __name__ == "__main__":
    main()
