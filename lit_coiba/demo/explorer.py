"""What the CNN sees of some classes, and pages of all that the demo knows of it."""

from __future__ import annotations

import sys
from importlib.util import find_spec
from pathlib import Path

from lit_coiba.backbones import Backbone
from lit_coiba.concepts import NMF
from lit_coiba.data.synthetic_parts import SyntheticParts
from lit_coiba.demo.runs import Explained, Runner
from lit_coiba.explorer import build
from lit_coiba.modules.concept_search import ConceptSearch
from lit_coiba.resources import resource
from lit_coiba.trainer.quiet import quiet

PACKAGES = {"sklearn": "scikit-learn", "plotly": "plotly", "jinja2": "jinja2"}
CLASSES, IMAGES = 4, 1200  # classes whose concepts are found, training images that are looked through
LAYER = "layer2"  # whose places are as large as the parts of an object


def missing_packages() -> list[str]:
    """Names of the packages that are not installed."""
    return [package for module, package in PACKAGES.items() if find_spec(module) is None]


def write(runner: Runner, folder: Path, explained: Explained) -> Path:
    """Find concepts of the CNN, and write the site; its folder.

    Args:
        runner: What runs things.
        folder: Folder of the demo.
        explained: The CNN on test images.
    """
    runner.console.print("[bold]CNN: concepts[/bold]", highlight=False)
    network = Backbone.load(resource("checkpoints/synthetic_parts_cnn.safetensors"))
    search = ConceptSearch(network, factorization=NMF(10), layer=LAYER, images=40, measured=20, n_samples=32)
    data, place = SyntheticParts(batch_size=32), folder / "concepts"
    with quiet():
        classes: list[int | str] = list(range(CLASSES))
        runner.trainer().concepts(search, data, str(place), limit=IMAGES, classes=classes)
    runner.console.print("[bold]CNN: pages[/bold]", highlight=False)
    scores = next(iter(explained.stores.values())).path.parent / "scores"
    runs = [place, *(store.path for store in explained.stores.values()), scores]
    return build(runs, folder / "site", images=explained.dataset, progress=sys.stderr.isatty()).path / "index.html"
