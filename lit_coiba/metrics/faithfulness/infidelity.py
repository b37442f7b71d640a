"""Infidelity: how far what a map says that a perturbation costs is from what it does cost."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, Literal

import torch
from torch import Tensor

from lit_coiba.core.errors import InputError, check_choice, check_count, check_positive
from lit_coiba.functional import fp64_where_possible, infidelity, keyed_noise, keyed_subsets, resize_map, subset_sums
from lit_coiba.metrics.card import MetricCard
from lit_coiba.metrics.faithfulness.cells import Cells, GridSize, checked_grid, grid_of, refuse_small
from lit_coiba.metrics.faithfulness.removal import Output, Removal, Removed
from lit_coiba.metrics.faithfulness.removal_metric import RemovalMetric
from lit_coiba.perturbation.baselines import Space

Pairing = Literal["local", "input_multiplied"]
Perturbation = Literal["noise", "removal"]
GRID = 9


class Infidelity(RemovalMetric):
    """Mean squared difference of a map's product with random perturbations and the drop of the score under them.

    Yeh et al., "On the (In)fidelity and Sensitivity of Explanations", NeurIPS 2019 (arXiv 1901.09392), with Captum's
    semantics: the image x becomes x' and the map phi is paired with I, as the mean of ``(I . phi - (f(x) - f(x')))^2``.
    ``local``: I = x - x', for maps like a gradient. ``input_multiplied``: I = (x - x') / (x - x0) with the baseline x0,
    0 where the two are equal, for maps that contain the factor of the input. Maps have one value for all channels of a
    pixel, so channels are perturbed alike, and I is the mean over them. The perturbations do not depend on the map: the
    drops are computed once for all methods.

    Args:
        pairing: What the map is paired with.
        perturbation: ``noise``: Gaussian noise is taken from x (``local``), or a normally distributed share of the way
            to x0 is gone (``input_multiplied``). ``removal``: random cells become the baseline, which may be tokens.
        noise: Standard deviation of the noise, in model input or as a share of the way (ours; Captum has none).
        draws: Number of perturbations.
        scaled: Whether a map is multiplied with the number that suits it best, which maps without a scale need.
        grid_size: Rows and columns of cells for ``removal``, or one number for both. None = 9, with tokens the finest
            up to that which splits no patch.
        probability: Probability of a cell to be removed.
        baseline: x0; see `RemovalMetric`.
        output: See `RemovalMetric`.
        space: See there.
        seed: Seed of the perturbations, which also depend on the sample's id.
        chunk: See `RemovalMetric`.
        keep_samples: Whether every score is kept.

    Raises:
        InputError: An argument that is not among its choices or out of range.

    Example:
        >>> images = torch.tensor([[[[0.4, 0.3, 0.2, 0.1]]]], dtype=torch.float64)
        >>> total = lambda images: images.sum((1, 2, 3)).unsqueeze(1)
        >>> Infidelity().score(total, images, None, images[:, 0]) < 1e-10
        tensor([True])
    """

    card = MetricCard(
        "faithfulness",
        "Yeh, Hsieh, Suggala, Inouye and Ravikumar, 2019 (arXiv 1901.09392)",
        higher_is_better=False,
        range="0 or more, squared score",
        cost="1 + draws forwards (11), once for all methods",
        undefined="the map or the model's score is not finite",
    )
    higher_is_better = card.higher_is_better
    serves_all_maps = True
    usual_output: ClassVar[Output] = "logit"

    def __init__(
        self,
        pairing: Pairing = "input_multiplied",
        perturbation: Perturbation = "noise",
        noise: float = 0.1,
        draws: int = 10,
        scaled: bool = False,
        grid_size: GridSize | None = None,
        probability: float = 0.2,
        baseline: Removed | float = "zero",
        output: Output = "logit",
        space: Space = "input",
        seed: int = 0,
        chunk: int | None = None,
        keep_samples: bool = False,
    ) -> None:
        super().__init__(baseline, output, space, chunk, keep_samples)
        self.pairing: Pairing = check_choice(pairing, Pairing, "pairing")
        self.perturbation: Perturbation = check_choice(perturbation, Perturbation, "perturbation")
        check_positive(noise=noise)
        check_count(1, draws=draws)
        self.noise = noise
        self.draws = draws
        self.scaled = scaled
        self.grid_size = checked_grid(grid_size)
        self.probability = probability
        self.seed = seed
        if not 0 < probability < 1:
            raise InputError(f"probability is {probability}: give a number between 0 and 1")
        if baseline in ("tokens", "auto") and (perturbation, pairing) != ("removal", "input_multiplied"):
            raise InputError(
                f"baseline is {baseline}, which has no pixels to go to: choose perturbation removal and pairing"
                " input_multiplied, or another baseline"
            )

    def measure(self, removal: Removal, maps: Tensor, ids: Sequence[str]) -> Tensor:
        """See `RemovalMetric.measure`."""
        told, lost = (self._removed if self.perturbation == "removal" else self._noisy)(removal, maps, ids)
        return infidelity(told, lost, self.scaled).to(removal.clean.dtype)

    def forwards(self, size: tuple[int, int]) -> int:
        """See `Metric.forwards`."""
        return 1 + self.draws

    def check(self, size: tuple[int, int]) -> None:
        """See `Metric.check`."""
        super().check(size)
        if self.perturbation == "removal":
            refuse_small(size, GRID if self.grid_size is None else self.grid_size)

    def perturbations(self, removal: Removal, ids: Sequence[str]) -> Tensor:
        """Noise of each image that all its channels share, ``(B, draws, H, W)``."""
        drawn = keyed_noise(self.seed, ids, "infidelity", (self.draws, *removal.size))
        return self.noise * drawn.to(removal.images)

    def _noisy(self, removal: Removal, maps: Tensor, ids: Sequence[str]) -> tuple[Tensor, Tensor]:
        """What the map says of noise, and what it costs, ``(B, draws)`` each."""
        noise, images = self.perturbations(removal, ids), removal.images
        local = self.pairing == "local"
        way = None if local else images - removal.baseline_images()

        def perturbed(rows: Tensor, copies: Tensor) -> Tensor:
            drawn = noise[rows, copies].unsqueeze(1)
            return images[rows] - (drawn if way is None else drawn * way[rows])

        key = ("infidelity", self.pairing, self.noise, self.draws, self.seed, tuple(ids))
        lost = removal.shared(key, lambda: removal.clean.unsqueeze(1) - removal.image_scores(self.draws, perturbed))
        values = pixel_values(maps, removal.size)
        if way is not None:
            values = values * (way != 0).to(values.dtype).mean(1)
        return torch.stack([(one * value).sum((1, 2)) for one, value in zip(noise, values)]), lost

    def _removed(self, removal: Removal, maps: Tensor, ids: Sequence[str]) -> tuple[Tensor, Tensor]:
        """What the map says of removed cells, and what they cost, ``(B, draws)`` each."""
        grid = removal.grid(GRID) if self.grid_size is None else grid_of(self.grid_size)
        cells = Cells.of_grid(removal, grid)
        shape = (self.draws, grid[0] * grid[1])
        gone = keyed_subsets(self.seed, ids, "infidelity", shape, self.probability).to(maps.device)

        def drops() -> Tensor:
            scores = removal.cell_scores(self.draws, cells.numbers, lambda rows, copies: gone[rows, copies])
            return removal.clean.unsqueeze(1) - scores

        key = ("infidelity", grid, self.draws, self.probability, self.seed, tuple(ids))
        if self.pairing == "local":
            maps = pixel_values(maps, removal.size) * (removal.images - removal.baseline_images()).mean(1)
        return subset_sums(cells.sums(maps), gone), removal.shared(key, drops)


def pixel_values(maps: Tensor, size: tuple[int, int]) -> Tensor:
    """Maps at the pixels of the image, fp64."""
    values = fp64_where_possible(maps)
    return values if tuple(maps.shape[-2:]) == size else resize_map(values, size)
