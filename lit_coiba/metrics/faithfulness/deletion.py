"""Deletion: how fast the class vanishes when the important pixels are removed first."""

from lit_coiba.metrics.faithfulness.curve import PerturbationCurve


class Deletion(PerturbationCurve):
    """Area under the class's score while the pixels that a map ranks highest are replaced by a baseline.

    Petsiuk et al., RISE, 2018 (arXiv 1806.07421), section 4.2. The baseline is zero unless another is named. Lower is
    better. Arguments, states and what `score` takes: see `PerturbationCurve`.

    Example:
        >>> import torch
        >>> images, maps = torch.tensor([[[[0.4, 0.3, 0.2, 0.1]]]]), torch.tensor([[[4.0, 3.0, 2.0, 1.0]]])
        >>> total = lambda images: images.sum((1, 2, 3)).unsqueeze(1)
        >>> Deletion(output="logit", step=1).score(total, images, None, maps)
        tensor([0.3750])
    """

    higher_is_better = False
    inserts = False
