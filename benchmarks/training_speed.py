"""What a step of the other trainings costs, as a multiple of a plain step of the same network on the same batch.

    python -m benchmarks.training_speed

Steps alternate within one process, forward, backward and optimizer, and processor time is compared: the median ratio of
neighbors, and its quartiles.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from typing import Any

import torch

from benchmarks.leaderboards import ASSETS
from lit_coiba import Backbone
from lit_coiba.data.mapped import mapped_batch
from lit_coiba.resources import resource
from lit_coiba.training import Classifier, HarmonizedClassifier, LipschitzClassifier
from lit_coiba.training.double_backward import DoubleBackward


def lite0() -> Backbone:
    """EfficientNet-Lite0 at 128 pixels."""
    weights = str(ASSETS / "models" / "tf_efficientnet_lite0.fp16.safetensors")
    return Backbone("tf_efficientnet_lite0", checkpoint=weights, image_size=128)


def lipschitz_cnn() -> Backbone:
    """The network of configs/experiment/lipschitz_synthetic_parts.yaml, at random."""
    widths = {"widths": [32, 64, 128, 128], "strides": [2, 2, 2, 1], "kernel_sizes": [3, 3, 3, 3]}
    return Backbone("lipschitz_cnn", num_classes=20, image_size=64, std=(1.0, 1.0, 1.0), timm_kwargs=widths)


def shipped(name: str) -> Backbone:
    """A shipped network."""
    return Backbone.load(resource(f"checkpoints/{name}.safetensors"))


CASES: dict[str, tuple[Callable[[], Backbone], type[Classifier], int]] = {
    "harmonized, SyntheticParts' ResNet at 64 pixels": (
        lambda: shipped("synthetic_parts_cnn"),
        HarmonizedClassifier,
        64,
    ),
    "harmonized, SyntheticParts' ViT at 64 pixels": (lambda: shipped("synthetic_parts_vit"), HarmonizedClassifier, 64),
    "harmonized, EfficientNet-Lite0 at 128 pixels": (lite0, HarmonizedClassifier, 16),
    "1-Lipschitz CNN at 64 pixels": (lipschitz_cnn, LipschitzClassifier, 64),
}


def stepping(module: Any, batch: Any) -> Callable[[], None]:
    """One training step of a module, without a Trainer."""
    module.log = module.log_dict = lambda *args, **kwargs: None
    module.train()
    if isinstance(module, HarmonizedClassifier):
        module._double = DoubleBackward(module.backbone)
    optimizer = torch.optim.AdamW(module.parameters(), lr=1e-5)

    def step() -> None:
        optimizer.zero_grad()
        module.outcome(batch, "train")[1].backward()
        optimizer.step()

    return step


def seconds(step: Callable[[], None]) -> float:
    """Processor time of a step."""
    start = time.process_time()
    step()
    return time.process_time() - start


def main(repetitions: int) -> None:
    """Print the ratios."""
    for name, (network, kind, size) in CASES.items():
        torch.manual_seed(0)
        backbone = network()
        images = torch.randn(size, 3, *backbone.preprocessing.size)
        maps = [torch.rand(*backbone.preprocessing.size) for _ in range(size)]
        batch = mapped_batch(images, torch.arange(size) % backbone.num_classes, maps)
        own: dict[str, Any] = {"loss": "tau_ce"} if kind is LipschitzClassifier else {}
        plain = stepping(Classifier(network()), batch)
        other = stepping(kind(backbone, **own), batch)
        pairs = [(seconds(plain), seconds(other)) for _ in range(repetitions + 1)][1:]
        ratios = sorted(b / a for a, b in pairs)
        low, middle, high = statistics.quantiles(ratios, n=4)
        print(f"{name}, batch {size}: {middle:.2f} times a plain step (quartiles {low:.2f} to {high:.2f})", flush=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repetitions", type=int, default=7)
    main(parser.parse_args().repetitions)
