"""A convolutional network whose layers can be constrained to the Lipschitz constant 1: plain layers, and nothing else.

The architecture is that of Serrurier et al., HKR, 2021 (arXiv 2006.06520), with the convolutions of Boissin et al.,
AOC, 2025 (arXiv 2501.07930): circular padding, GroupSort, no norm, no shortcut. Here it is without a constraint, as it
is trained for comparison, exported and explained; `lit_coiba.lipschitz.constraint` constrains it.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from math import prod
from typing import Any, ClassVar, Literal

from torch import Tensor, nn

from lit_coiba.core.errors import InputError, check_choice
from lit_coiba.lipschitz.group_sort import GroupSort2

HeadKind = Literal["disjoint", "orthogonal"]
Pool = Literal["maximum", "average"]


class LipschitzCNN(nn.Module):
    """Stages of a circular convolution and GroupSort, pooling over space, and a linear classifier.

    Images are ``(B, in_chans, H, W)``, logits ``(B, K)``. It has timm's interface, and its name there is
    ``lipschitz_cnn``.

    Args:
        num_classes: Number of classes K; 0 = no classifier, the pooled features are put out.
        in_chans: Number of channels of the images.
        img_size: Height and width of the images in pixels, which decide what is pooled.
        widths: Number of channels of each stage, even.
        strides: Stride of each stage.
        kernel_sizes: Side of each stage's kernel, odd, or equal to the stride.
        pool: What the classifier reads of each channel: its ``maximum``, which has the constant 1 and keeps the norm of
            gradients, or its ``average``, which is slow to change where evidence is small.
        pool_size: Cells along a side of the grid that is pooled to; 1 = the whole image, so that places do not matter.
        head: Constraint of the classifier: ``disjoint`` = each logit has the constant 1 by itself, ``orthogonal`` = all
            of them together.

    Raises:
        InputError: The stages do not fit one another, or the images.

    Example:
        >>> import torch
        >>> network = LipschitzCNN(5, img_size=16, widths=(8, 16), strides=(2, 2), kernel_sizes=(3, 3))
        >>> network(torch.zeros(2, 3, 16, 16)).shape
        torch.Size([2, 5])
    """

    chain: ClassVar[tuple[str, ...]] = ("stages", "pool", "flatten", "fc")  # the forward, in order

    def __init__(
        self,
        num_classes: int = 1000,
        in_chans: int = 3,
        img_size: int | Sequence[int] = 64,
        widths: Sequence[int] = (32, 64, 128, 128),
        strides: Sequence[int] = (2, 2, 2, 1),
        kernel_sizes: Sequence[int] = (3, 3, 3, 3),
        pool: Pool = "maximum",
        pool_size: int = 1,
        head: HeadKind = "disjoint",
    ) -> None:
        super().__init__()
        self.img_size = (img_size, img_size) if isinstance(img_size, int) else (int(img_size[0]), int(img_size[1]))
        _check_stages(self.img_size, widths, strides, kernel_sizes)
        self.head: HeadKind = check_choice(head, HeadKind, "head")
        channels = [in_chans, *widths]
        self.stages = nn.Sequential(
            *(_stage(*arguments) for arguments in zip(channels, widths, kernel_sizes, strides)),
        )
        grid = [side // prod(strides) for side in self.img_size]
        if pool_size < 1 or any(side % pool_size for side in grid):
            raise InputError(f"pool_size is {pool_size} for features of {grid[0]} x {grid[1]} cells: give a divisor")
        self.pool_kind, self.pool_size = pool, pool_size
        kind = nn.MaxPool2d if check_choice(pool, Pool, "pool") == "maximum" else nn.AvgPool2d
        self.pool = kind((grid[0] // pool_size, grid[1] // pool_size))
        self.flatten = nn.Flatten()
        self.num_features = int(widths[-1])
        self.head_hidden_size = self.num_features * pool_size**2
        self.feature_info = [
            {"num_chs": width, "reduction": prod(strides[: place + 1]), "module": f"stages.{place}"}
            for place, width in enumerate(widths)
        ]
        self.reset_classifier(num_classes)

    def forward(self, images: Tensor) -> Tensor:
        """Logits ``(B, K)``."""
        return self.forward_head(self.forward_features(images))

    def forward_features(self, images: Tensor) -> Tensor:
        """Features ``(B, C, h, w)`` before the pooling."""
        features: Tensor = self.stages(images)
        return features

    def forward_head(self, features: Tensor, pre_logits: bool = False) -> Tensor:
        """Logits ``(B, K)`` of features; with `pre_logits` what is pooled ``(B, D)``."""
        pooled: Tensor = self.flatten(self.pool(features))
        return pooled if pre_logits else self.fc(pooled)

    def get_classifier(self) -> nn.Module:
        """The linear classifier."""
        return self.fc

    def reset_classifier(self, num_classes: int, global_pool: Any = None) -> None:
        """Put a new classifier in the place of the present one."""
        self.num_classes = num_classes
        self.fc: nn.Module = nn.Identity()
        if num_classes:
            self.fc = nn.Linear(self.head_hidden_size, num_classes)
            _initialize(self.fc)


def _stage(in_channels: int, channels: int, kernel_size: int, stride: int) -> nn.Sequential:
    padding = 0 if kernel_size == stride else kernel_size // 2
    conv = nn.Conv2d(in_channels, channels, kernel_size, stride, padding, padding_mode="circular")
    _initialize(conv)
    return nn.Sequential(OrderedDict(conv=conv, sort=GroupSort2(channels)))


def _initialize(layer: nn.Conv2d | nn.Linear) -> None:
    """Orthogonal rows: GroupSort keeps norms, so nothing grows or vanishes where no norm layer is."""
    nn.init.orthogonal_(layer.weight)
    if layer.bias is not None:
        nn.init.zeros_(layer.bias)


def _check_stages(
    size: tuple[int, int], widths: Sequence[int], strides: Sequence[int], kernel_sizes: Sequence[int]
) -> None:
    if not len(widths) == len(strides) == len(kernel_sizes) > 0:
        raise InputError(
            f"widths, strides and kernel_sizes have {len(widths)}, {len(strides)} and {len(kernel_sizes)} numbers: give"
            " one of each for each stage"
        )
    for kernel_size, stride in zip(kernel_sizes, strides):
        if not (stride >= 1 and (kernel_size == stride or (kernel_size % 2 and kernel_size > stride))):
            raise InputError(
                f"kernel_sizes has {kernel_size} where strides has {stride}: give a kernel of the stride's size, or a"
                " larger odd one"
            )
    if any(side % prod(strides) or side // prod(strides) < 1 for side in size):
        raise InputError(
            f"img_size is {size[0]} x {size[1]}, and the strides make {prod(strides)} pixels one cell: give multiples"
            f" of {prod(strides)}"
        )
