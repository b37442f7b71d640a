"""The verb ``ceiling``: how far people agree where the evidence is."""

from __future__ import annotations

from lit_coiba.cli import terminal
from lit_coiba.cli.verb import FunctionVerb


def ceiling(root: str, maps: str, csv: str | None = None, size: int = 224, splits: int = 10, seed: int = 0) -> int:
    """Print how far people agree where the evidence is, which an alignment can be divided by.

    Of each image with several participants two random halves of them are compared, by Spearman's correlation of their
    mean maps, smoothed as in the metric HumanAlignment; from that follows how well the mean of all of them is known, by
    Spearman and Brown. Use one of the two numbers as --model.metrics.alignment.ceiling, and say which.

    Args:
        root: Folder of the images.
        maps: Folder of their maps: for an image a folder of its name, with a map for each participant.
        csv: CSV file that lists the images, as for ImageFolder.
        size: Height and width in pixels at which maps are compared: those of the model's input.
        splits: Random splits of each image, 10 or more.
        seed: Seed of the splits.
    """
    from lit_coiba.benchmark.alignment_ceiling import alignment_ceiling
    from lit_coiba.core.preprocessing import Preprocessing
    from lit_coiba.data import ImageFolder

    samples = ImageFolder(root, csv=csv, importance=maps).dataset("predict")
    terminal.say(str(alignment_ceiling(samples, Preprocessing((size, size), 1.0), splits, seed=seed)))
    return 0


CEILING = FunctionVerb(
    name="ceiling",
    summary="print how far people agree where the evidence is, from importance maps of several participants",
    position=59,
    function=ceiling,
    usage="ceiling ROOT MAPS [--splits N]",
    positional=("root", "maps"),
    examples="""\
  Of images with a folder of maps each, maps/cat/7/ for images/cat/7.jpg:
    lit-coiba ceiling images maps
  Alignment over that ceiling:
    lit-coiba benchmark --model.metrics.alignment HumanAlignment --model.metrics.alignment.ceiling 0.91 \\
        --model.backbone.name resnet18 --data.root images --data.importance maps --stores runs/saliency \\
        --output runs/table
  In Python: lit_coiba.benchmark.alignment_ceiling(dataset)""",
)
