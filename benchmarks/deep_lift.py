"""DeepLIFT beside Captum's, which is given the rule for ReLU6 that it lacks: the same maps, and what they cost.

python -m benchmarks.deep_lift --batches 1 8
"""

from __future__ import annotations

import argparse
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

from captum.attr import DeepLift as Captum
from captum.attr._core import deep_lift
from torch import Tensor, nn

from benchmarks._models import efficientnet_lite0, pictures
from benchmarks._turns import take_turns
from lit_coiba.attribution import DeepLift
from lit_coiba.backbones import Backbone
from lit_coiba.core.frozen import frozen
from lit_coiba.propagation.in_place import out_of_place


@contextmanager
def every_rule() -> Iterator[None]:
    """Inside, Captum has a rule for ReLU6; without it, it passes the gradient on, which is cheaper and another map."""
    rules = deep_lift.SUPPORTED_NON_LINEAR
    rules[nn.ReLU6] = deep_lift.nonlinear
    try:
        yield
    finally:
        del rules[nn.ReLU6]


def captum(model: Backbone, images: Tensor, target: int) -> Tensor:
    """Captum's maps ``(B, H, W)``, summed over the colors."""
    with frozen(model), out_of_place(model), every_rule(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return Captum(model).attribute(images.clone(), target=target).detach().sum(1)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--batches", type=int, nargs="+", default=[1, 8])
    parser.add_argument("--rounds", type=int, default=5)
    given = parser.parse_args()
    model = efficientnet_lite0().eval()
    images = pictures(model, max(given.batches))
    print("| images | Captum | ours | ratio | maps differ by |\n|--:|--:|--:|--:|--:|")
    for count in given.batches:
        some, method = images[:count], DeepLift()
        theirs, ours = captum(model, some, 3), method.attribute(model, some, 3)
        apart = float(((theirs - ours).abs().amax((1, 2)) / ours.abs().amax((1, 2))).max())
        turns = take_turns(lambda: captum(model, some, 3), lambda: method.attribute(model, some, 3), given.rounds)  # noqa: B023
        print(f"| {count} | {turns} | {apart:.1e} |", flush=True)


if __name__ == "__main__":
    main()
