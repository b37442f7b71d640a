"""EVA: which region, held fixed, improves the verified worst case most.

Fel et al., "Don't Lie to Me! Robust and Efficient Explainability with Verified Perturbation Analysis", CVPR 2023 (arXiv
2202.07728).
"""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from lit_coiba.bounds import Bound, Box, Form, margin, overlap, trace
from lit_coiba.core.batched_evaluator import BatchedEvaluator, Chunk
from lit_coiba.core.errors import InputError, check_choice, check_count
from lit_coiba.core.explanation import Explanation
from lit_coiba.core.method import AttributionMethod, Card
from lit_coiba.core.network import Network
from lit_coiba.core.targets import Resolved
from lit_coiba.files.digests import digest_of_file
from lit_coiba.files.regular import clause
from lit_coiba.files.tensor_file import read_tensor_file
from lit_coiba.functional import fp64_where_possible, noise, working_dtype

WEIGHT = 8  # of a box in fp64, with two ends: 12 of 64 x 64 pixels at once are 1.4 times as fast as 98
LARGEST = 2**30  # bytes of a file of masks
VACUOUS = 10  # times the range of an image's logits, above which its bounds are called empty


class EVA(AttributionMethod):
    """Drop of the verified adversarial overlap when a region may not be perturbed, for each region.

    The overlap of a set of perturbations is the most by which another logit can exceed the target's; bound propagation
    gives an upper bound of it over all perturbations at once, not only over some that were drawn. A region's score is
    the bound over the whole ball minus the bound with the region held fixed, in units of the logit: large where the
    decision is fragile because of this region. One value per square patch, or pixels with `masks`. A score below zero
    is no mistake: CROWN chooses its lines for each region separately, and an empirical box is sampled.

    Only for CNNs: convolutions and linear layers, batch norms, the usual activations, pooling, sums and products of
    branches. Attention and LayerNorm have no rule. Bounds grow with depth until they say nothing: look at the extra
    ``overlap``, which should be of the size of the logits. Where it is not, take a later `start_layer`, or a smaller
    radius: below 1e-10 for a ResNet-18 end to end, where little is left but absolute gradients. Bounds of more than ten
    times the range of the logits are warned of, once. Without a `start_layer`, an ``overlap`` below zero proves that no
    perturbation in the ball changes the class, up to rounding. ``margin`` is the overlap of the image alone.

    Args:
        radius: Radius of the ball, in L-infinity, in units of the model's input; no value is published.
        patch: Side of the square patches in pixels, a divisor of both sides of the image; 1 = single pixels; None = the
            regions are `masks`. No value is published.
        n_samples: N, perturbations drawn for each region to find the box of the start layer; no value is published.
            Only with a `start_layer`, and needed there.
        start_layer: Layer behind which bounds are propagated, from the smallest box that holds its activation for the
            image and its N perturbations (the paper's mode for large networks); guarantees hold from there on. None =
            from the images, verified end to end.
        bound: ``ibp`` (interval arithmetic, about 2 forwards), ``crown_ibp`` (tighter; carries one row per other class
            back through the network), or ``crown`` (tightest, one row per neuron: for small networks).
        form: ``margin`` bounds differences of two logits; ``independent`` each logit alone, which is looser.
        rival: The only class that counts as another one; None = all (as in the paper).
        masks: File of a bool tensor ``(d, H, W)``, written by ``torch.save``: your own regions. A pixel's value is the
            mean score of the regions that contain it, 0 if none does.
        seed: Seed of the perturbations, which all images and regions share.
        chunk: Boxes at once; ``auto`` = as many as are fast, halved where memory runs out.

    Raises:
        InputError: Not exactly one of `patch` and `masks`, `n_samples` without `start_layer`, or a value out of range.
    """

    card = Card(
        "Fel, Ducoffe, Vigouroux, Cadene, Capelle, Nicodeme and Serre, 2023 (arXiv 2202.07728)",
        "2 forwards per region (ibp), and a backward per region and other class (crown_ibp)",
        ("modules",),
        ("CNN",),
    )
    advice = "take a method that samples, such as RISE or Occlusion"

    def __init__(
        self,
        radius: float,
        patch: int | None = None,
        n_samples: int | None = None,
        start_layer: str | None = None,
        bound: Bound = "crown_ibp",
        form: Form = "margin",
        rival: int | None = None,
        masks: str | None = None,
        seed: int = 0,
        chunk: Chunk = "auto",
    ) -> None:
        if not 0 <= radius < float("inf"):
            raise InputError(f"radius is {radius}: give a number, 0 or more, in units of the model's input")
        if (patch is None) == (masks is None):
            raise InputError(
                f"patch is {patch} and masks {masks}: give one of them, the side of the patches in pixels or a file"
            )
        if (n_samples is None) != (start_layer is None):
            raise InputError(
                f"n_samples is {n_samples} with start_layer {start_layer}: give both, or neither for bounds from the"
                " images on"
            )
        check_count(**{name: v for name, v in (("patch", patch), ("n_samples", n_samples)) if v is not None})
        if rival is not None:
            check_count(0, rival=rival)
        self.radius, self.patch, self.n_samples = radius, patch, n_samples
        self.start_layer, self.rival, self.masks = start_layer, rival, masks
        self.bound = check_choice(bound, Bound, "bound")
        self.form = check_choice(form, Form, "form")
        self.seed, self.chunk = seed, chunk
        self._evaluator = BatchedEvaluator(chunk, WEIGHT)
        self._warned = False

    def identity(self) -> dict[str, Any]:
        """The arguments, and the content of the file of masks for its path."""
        given = super().identity()
        if self.masks is not None:
            given["masks"] = _digest(self.masks)
        return given

    @torch.no_grad()
    def _explain(self, model: Network, images: Tensor, targets: Resolved) -> Explanation:
        """As `AttributionMethod` says.

        Raises:
            InputError: A layer without a rule, patches that do not tile the image, masks of another size, a rival that
                is a target, or bounds that overflow.
        """
        regions = self._regions(images)
        self._check_rival(targets, model.num_classes)
        with torch.autocast(images.device.type, enabled=False):
            logits = model(images)
            dtype = fp64_where_possible(images).dtype  # radii are far below fp32's rounding
            program = trace(model, self.start_layer, dtype)  # type: ignore[arg-type]
            free = torch.cat([torch.zeros_like(regions[:1]), regions]).logical_not()  # the first: the whole ball

            def bounds(copies: slice, rows: slice) -> Tensor:
                """Of the overlap with some regions fixed, ``(k, r)``."""
                allowed = free[copies].unsqueeze(1).unsqueeze(1)  # (k, 1, 1, H, W)
                box = self._box(model, images[rows], allowed, dtype)
                several = targets.take(rows).repeat(len(allowed))
                found = overlap(program, box, several, self.bound, self.form, self.rival)
                return found.unflatten(0, (len(allowed), -1))

            found = self._evaluator.gather(images, len(free), bounds)
        if not found.isfinite().all():
            raise InputError(
                f"EVA's bounds overflow at radius {self.radius}: take a smaller one, or a later start_layer"
            )
        self._warn(found[0], logits)
        scores = (found[0] - found[1:]).T  # (B, d)
        extras = {"overlap": found[0], "margin": margin(logits, targets, self.rival)}
        precision = working_dtype(images)
        return Explanation(
            self._map(scores, regions).to(precision), {name: values.to(precision) for name, values in extras.items()}
        )

    def _regions(self, images: Tensor) -> Tensor:
        """What is held fixed, ``(d, H, W)`` bool."""
        height, width = images.shape[-2:]
        if self.masks is not None:
            regions = _loaded(self.masks)
            fits = (
                isinstance(regions, Tensor)
                and regions.layout == torch.strided
                and regions.dtype == torch.bool
                and len(regions.shape) == 3
            )
            if not fits or regions.shape[1:] != (height, width) or not len(regions):
                raise InputError(
                    f"masks {self.masks} is not a bool tensor (d, {height}, {width}): save one with torch.save"
                )
            return regions.to(images.device)
        assert self.patch is not None
        if height % self.patch or width % self.patch:
            raise InputError(f"patch {self.patch} does not divide images of {height}x{width}: take a divisor of both")
        rows, columns = (torch.arange(size, device=images.device) // self.patch for size in (height, width))
        number = rows.unsqueeze(1) * (width // self.patch) + columns
        return number == torch.arange(int(number.max()) + 1, device=images.device).view(-1, 1, 1)

    def _box(self, model: Network, images: Tensor, allowed: Tensor, dtype: torch.dtype) -> Box:
        """Boxes of the program's start for some images and regions, ``(k * r, ...)``."""
        radius = self.radius * allowed.to(dtype)
        if self.start_layer is None:
            return Box(*(end.flatten(0, 1) for end in Box.around(images.to(dtype), radius)))
        path = model.split([self.start_layer])
        lowest = highest = None
        assert self.n_samples is not None
        for step in range(self.n_samples + 1):  # the first is the image itself
            draw = torch.erf(noise(self.seed, step, 0, images.shape[1:]) / 2**0.5).to(images.device)  # uniform, (-1, 1)
            shift = radius * (draw.to(dtype) if step else 0.0)
            there = (images.to(dtype) + shift).flatten(0, 1).to(images.dtype)
            activation = path.lower(there).activation.to(dtype)
            lowest = activation if lowest is None else torch.minimum(lowest, activation)
            highest = activation if highest is None else torch.maximum(highest, activation)
        assert lowest is not None
        assert highest is not None
        return Box(lowest, highest)

    def _map(self, scores: Tensor, regions: Tensor) -> Tensor:
        if self.patch is not None:
            return scores.unflatten(1, (regions.shape[1] // self.patch, regions.shape[2] // self.patch))
        inside = regions.to(scores.dtype)
        return torch.einsum("bd,dhw->bhw", scores, inside) / inside.sum(0).clamp_min(1)

    def _warn(self, overlaps: Tensor, logits: Tensor) -> None:
        """Say once that bounds ``(B,)`` are far above anything that logits ``(B, K)`` take."""
        vacuous = overlaps > VACUOUS * (logits.amax(1) - logits.amin(1))
        if not self._warned and vacuous.any():
            self._warned = True
            warnings.warn(
                f"the bounds of {int(vacuous.sum())} of {len(vacuous)} images are more than {VACUOUS} times as large as"
                f" the range of their logits, so their maps say little: take a radius below {self.radius}, a"
                " later start_layer, or a tighter bound",
                stacklevel=3,
            )

    def _check_rival(self, targets: Resolved, num_classes: int) -> None:
        if not targets.take(slice(0, 1)).linear()[0].shape[1]:
            raise InputError("EVA compares the target with other classes, and this model has one: take another method")
        if self.rival is None:
            return
        if not 0 <= self.rival < num_classes or (targets.classes("EVA with a rival") == self.rival).any():
            raise InputError(
                f"rival is {self.rival}: give a class of the model that is not the target, or null for all"
            )


def _loaded(file: str) -> Any:
    return read_tensor_file(file, "masks:", "save a bool tensor (d, H, W) with torch.save").content


def _digest(file: str) -> str:
    try:
        return digest_of_file(Path(file), LARGEST)
    except OSError as error:
        raise InputError(f"masks: {file} cannot be read ({clause(error)}): give a file of torch.save") from error
