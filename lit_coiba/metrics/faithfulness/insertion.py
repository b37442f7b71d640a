"""Insertion: how fast the class appears when the important pixels are shown first."""

from lit_coiba.metrics.card import MetricCard
from lit_coiba.metrics.faithfulness.curve import PerturbationCurve


class Insertion(PerturbationCurve):
    """Area under the class's score while the pixels that a map ranks highest are inserted into a baseline.

    Petsiuk et al., RISE, 2018 (arXiv 1806.07421), section 4.2. The baseline is the blurred image unless another is
    named. Higher is better. Arguments, states and what `score` takes: see `PerturbationCurve`.

    Example:
        >>> import torch
        >>> images, maps = torch.tensor([[[[0.4, 0.3, 0.2, 0.1]]]]), torch.tensor([[[4.0, 3.0, 2.0, 1.0]]])
        >>> total = lambda images: images.sum((1, 2, 3)).unsqueeze(1)
        >>> insertion = Insertion(output="logit", baseline="zero", step=1)
        >>> insertion.score(total, images, None, maps)
        tensor([0.6250])
    """

    card = MetricCard(
        "faithfulness",
        "Petsiuk, Das and Saenko, RISE, 2018 (arXiv 1806.07421)",
        higher_is_better=True,
        range="0 to 1 as a probability; any number as a logit, 0 or less as a log probability",
        cost="1 + steps forwards (225 at 224 x 224 pixels, by rows)",
        undefined="the map or the model's score is not finite",
    )
    higher_is_better = card.higher_is_better
    inserts = True
