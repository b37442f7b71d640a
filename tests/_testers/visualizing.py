"""What tests of optimized images share: settings that take no time, and concepts that nobody had to look for."""

from __future__ import annotations

from pathlib import Path

import torch

from lit_coiba.bottlenecks.statistics import describe_preprocessing
from lit_coiba.concepts import Concepts
from lit_coiba.concepts.concepts_file import Header
from lit_coiba.feature_visualization import MACO
from lit_coiba.modules.visualization import VisualizationModule
from tests._testers.runs import make_trainer

FEW = {"steps": 3, "canvas": 32, "crops": 2, "spectrum": "power:-1.3", "progress": False}


def concepts_of(model, layer, cls=1, count=2, seed=0) -> Concepts:
    """Random concepts of a class, none of them negative."""
    about = Header(layer, cls, model.digest(), describe_preprocessing(model), "{}", "nnls", 0, 4, 4, 0.1)
    random = torch.Generator().manual_seed(seed)
    dictionary = torch.rand(count, model.grid(layer).channels, generator=random)
    return Concepts(about, dictionary, torch.rand(5, count, generator=random), torch.arange(5), torch.zeros(5).long())


def visualize(model, folder, trainer=None, data=None, method=None, **arguments):
    """One run of the verb, without pictures unless they are asked for."""
    module = VisualizationModule(model, method or MACO(**FEW))
    trainer = trainer or make_trainer()
    return trainer.visualize(module, str(folder), data, **{"pictures": False, **arguments})


def content(folder: Path) -> dict[str, bytes]:
    """What decides the items, and the items: everything but logs, pages, and what is hidden."""
    files = [folder / "run.json", *(folder / "items").rglob("*")]
    return {str(file.relative_to(folder)): file.read_bytes() for file in files if file.is_file()}
