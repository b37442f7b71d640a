"""A ViT without some of its patches: missing tokens, in the place of a color that stands for "nothing there".

Jain et al., "Missingness Bias in Model Debugging", ICLR 2022 (arXiv 2204.08945). A blackened patch is evidence to a
ViT; a patch whose token is left out is not there.
"""

from __future__ import annotations

from typing import Any

import torch
from timm.layers import AttentionPoolPrr  # type: ignore[attr-defined]
from timm.models.deit import VisionTransformerDistilled
from timm.models.eva import Eva
from torch import Tensor

from lit_coiba.backbones.grid_head import PLACE, attached
from lit_coiba.backbones.probe import evaluated
from lit_coiba.backbones.token_support import network_of, refuse
from lit_coiba.core.errors import InputError

ROWS_ON_GPU = 64  # images of one forward at least, where counts differ: smaller forwards leave a GPU idle


class TokenDropping:
    """Runs a ViT on some of the patches of each image; the others are absent, neither black nor gray.

    Tokens are taken after position embedding and `norm_pre`, so those that are kept keep their places (a table of
    rotary positions is gathered with them), and all prefix tokens stay. Rows that keep as many patches run together on
    nothing but these, which costs less the more is missing; no removed patch is a key of attention or part of a pool.
    The model is as it was, and runs in evaluation mode.

    Args:
        network: A timm ViT that `of` has looked at.
        title: Name of the model, for messages.
        size: Height and width of the images in pixels.

    Attributes:
        grid: Rows and columns of patches.
        num_prefix: Tokens that are no patches and always stay: CLS, registers, the token of distillation.
        pools_patches: Whether the logits are made of patches alone, so that there are none without any patch.

    Example:
        >>> from lit_coiba.backbones import Backbone
        >>> sizes = {"patch_size": 8, "embed_dim": 12, "depth": 1, "num_heads": 2}
        >>> dropping = TokenDropping.of(Backbone("vit_tiny_patch16_224", timm_kwargs=sizes, image_size=32))
        >>> tokens = dropping.embed(torch.zeros(1, 3, 32, 32))
        >>> dropping.grid, dropping.run(tokens, torch.arange(16)[None] < 4).shape
        ((4, 4), torch.Size([1, 1000]))
    """

    def __init__(self, network: Any, title: str, size: tuple[int, int]) -> None:
        self._network, self._title, self._size = network, title, size
        height, width = network.patch_embed.patch_size
        self.grid: tuple[int, int] = (size[0] // height, size[1] // width)
        self.num_prefix = int(network.num_prefix_tokens)
        self.pools_patches = attached(network) is not None or not self._reads_prefix()

    @classmethod
    def of(cls, model: Any) -> TokenDropping:
        """What leaves out patches of `model`, a `Backbone`, a trained classifier or a timm ViT.

        Raises:
            InputError: It cannot leave out patches, or that is not known; the sentence names other baselines.
        """
        network, title, size = network_of(model)
        size = size or getattr(getattr(network, "patch_embed", None), "img_size", None) or (0, 0)
        refuse(network, title, size)
        return cls(network, title, size)

    def __call__(self, images: Tensor, kept: Tensor) -> Tensor:
        """Logits ``(n, K)`` of images ``(n, 3, H, W)`` with the patches `kept`; see `run`."""
        return self.run(self.embed(images), kept)

    def embed(self, images: Tensor) -> Tensor:
        """Tokens ``(B, prefix + h * w, C)`` before the first block, to be computed once for all copies of an image.

        Raises:
            InputError: The images are not of the model's size.
        """
        if tuple(images.shape[-2:]) != tuple(self._size):
            raise InputError(
                f"images have {images.shape[-2]} x {images.shape[-1]} pixels, and {self._title} was looked at for"
                f" {self._size[0]} x {self._size[1]}: give images of this size"
            )
        network = self._network
        with evaluated(network):
            tokens = network._pos_embed(network.patch_embed(images))
            tokens = tokens[0] if isinstance(network, Eva) else network.patch_drop(tokens)
            stream: Tensor = network.norm_pre(tokens)
        return stream

    def run(self, tokens: Tensor, kept: Tensor, masked: bool = False) -> Tensor:
        """Logits ``(n, K)`` of rows of tokens with the patches `kept`; NaN where there is no score without any patch.

        Args:
            tokens: Rows of what `embed` returned, ``(n, prefix + h * w, C)``, in any order, with any number of copies.
            kept: Which patches are there, bool ``(n, h * w)``, row by row.
            masked: Whether all tokens run and attention leaves out the others: the same logits, slower; for tests.

        Raises:
            InputError: `kept` does not fit the tokens; `masked` for a model whose pool or head takes no mask.
        """
        places = self.grid[0] * self.grid[1]
        if kept.dtype != torch.bool or tuple(kept.shape) != (len(tokens), places):
            raise InputError(
                f"kept is {kept.dtype} of shape {tuple(kept.shape)}: give bool ({len(tokens)}, {places}), one for each"
                f" of the {self.grid[0]} x {self.grid[1]} patches"
            )
        if masked and not self._takes_masks:
            raise InputError(f"masked is True, and pool or head of {self._title} take no mask: leave it out")
        empty = ~kept.any(1) if self.pools_patches else None
        if empty is not None:  # these rows run with one patch, and are not looked at
            kept = torch.cat([kept[:, :1] | empty.unsqueeze(1), kept[:, 1:]], 1)
        with evaluated(self._network):
            logits = self._blocks(tokens, None, kept) if masked else self._by_count(tokens, kept)
        return logits if empty is None else logits.masked_fill(empty.unsqueeze(1), torch.nan)

    def _by_count(self, tokens: Tensor, kept: Tensor) -> Tensor:
        """Rows that keep as many patches together; on a GPU also others, until there are enough."""
        counts: list[int] = kept.sum(1).tolist()
        least = ROWS_ON_GPU if tokens.device.type != "cpu" and self._takes_masks else 1
        groups = groups_of(counts, least)
        if len(groups) == 1:
            return self._gathered(tokens, kept, max(counts), min(counts) == max(counts))
        parts = []
        for group in groups:
            rows = torch.tensor(group, device=tokens.device)
            same = counts[group[0]] == counts[group[-1]]
            parts.append(self._gathered(tokens[rows], kept[rows], counts[group[0]], same))
        order = torch.tensor([row for group in groups for row in group], device=tokens.device)
        return torch.cat(parts)[order.argsort()]

    def _gathered(self, tokens: Tensor, kept: Tensor, most: int, same: bool) -> Tensor:
        """Logits of rows that keep `most` patches, or fewer, which are padded and masked."""
        if most == kept.shape[1]:
            return self._blocks(tokens, None, None if same else kept)
        places = (~kept).byte().argsort(dim=1, stable=True)[:, :most]  # those that are kept come first, in their order
        prefix, patches = tokens[:, : self.num_prefix], tokens[:, self.num_prefix :]
        chosen = patches.gather(1, places.unsqueeze(-1).expand(-1, -1, tokens.shape[-1]))
        return self._blocks(torch.cat([prefix, chosen], 1), places, None if same else kept.gather(1, places))

    def _blocks(self, stream: Tensor, places: Tensor | None, valid: Tensor | None) -> Tensor:
        """Logits of the tokens ``(n, prefix + m, C)``.

        Args:
            stream: Tokens.
            places: Where the m patches are in the grid ``(n, m)``; None = all of them, in order.
            valid: Which of the m patches are there ``(n, m)``; None = all.
        """
        there = None
        if valid is not None:
            there = torch.cat([valid.new_ones(len(valid), self.num_prefix), valid], 1)
        mask = None if there is None else there[:, None, None]
        rotations = self._rotations(stream, places)
        for block, rotation in zip(self._network.blocks, rotations):
            stream = block(stream, attn_mask=mask, **rotation)
        return self._logits(self._network.norm(stream), there, whole=places is None)

    def _rotations(self, stream: Tensor, places: Tensor | None) -> list[dict[str, Tensor | None]]:
        """For each block, the rotary positions of the patches at `places`; nothing where a model has none."""
        network: Any = self._network
        if not isinstance(network, Eva):
            return [{} for _ in network.blocks]
        flat = stream.new_zeros(1, self.grid[0] * self.grid[1], stream.shape[-1])
        table: Any = network._pos_embed(flat.unflatten(1, self.grid) if network.dynamic_img_size else flat)[1]
        if table is not None and places is not None:  # (h * w, d), or one for each block and head
            table = table[:, :, places].transpose(1, 2) if table.dim() == 4 else table[places].unsqueeze(1)
        by_block = network.rope_mixed and table is not None
        return [{"rope": table[number] if by_block else table} for number in range(len(network.blocks))]

    def _logits(self, output: Tensor, there: Tensor | None, whole: bool) -> Tensor:
        """Logits of the last block's normalized `output`, of which the tokens `there` ``(n, T)`` count."""
        network: Any = self._network
        logits: Tensor
        if (head := attached(network)) is not None and not whole:
            logits = head(output[:, self.num_prefix :].transpose(1, 2).unsqueeze(2))  # places in a row
        elif there is None or network.global_pool == "token":
            logits = getattr(network, PLACE)(output)
        else:
            logits = network.head(network.head_drop(network.fc_norm(self._pooled(output, there))))
        return logits

    def _pooled(self, output: Tensor, there: Tensor) -> Tensor:
        """The pool of the tokens that are `there`, of whatever kind the model's is."""
        network: Any = self._network
        if not self._pools_prefix:
            output, there = output[:, self.num_prefix :], there[:, self.num_prefix :]
        if network.attn_pool is not None:
            mask = there[:, None, None]
            if not network.attn_pool.fused_attn:  # which adds its mask
                mask = torch.zeros_like(mask, dtype=output.dtype).masked_fill(~mask, -torch.inf)
            pooled: Tensor = network.attn_pool(output, attn_mask=mask)
            return pooled
        gone = ~there.unsqueeze(-1)
        mean = output.masked_fill(gone, 0).sum(1) / there.sum(1, keepdim=True)
        if network.global_pool == "avg":
            return mean
        largest = output.masked_fill(gone, -torch.inf).amax(1)
        return largest if network.global_pool == "max" else 0.5 * (largest + mean)

    @property
    def _pools_prefix(self) -> bool:
        """Whether the pool takes prefix tokens beside patches."""
        if isinstance(self._network, Eva):
            return self._network.attn_pool is not None
        return bool(self._network.pool_include_prefix)

    def _reads_prefix(self) -> bool:
        """Whether the model's own classifier has something to read where no patch is left."""
        own = isinstance(self._network, VisionTransformerDistilled) or self._network.global_pool == "token"
        return own or (self._pools_prefix and self.num_prefix > 0)

    @property
    def _takes_masks(self) -> bool:
        """Whether rows that keep different numbers of patches can run together."""
        return attached(self._network) is None and not isinstance(self._network.attn_pool, AttentionPoolPrr)


def groups_of(counts: list[int], least: int = 1) -> list[list[int]]:
    """Rows in groups of equal counts, the largest first; a group of less than `least` rows goes on with the next.

    Example:
        >>> groups_of([3, 5, 3, 1]), groups_of([3, 5, 3, 1], least=2)
        ([[1], [0, 2], [3]], [[1, 0, 2], [3]])
    """
    groups: list[list[int]] = []
    for row in sorted(range(len(counts)), key=lambda row: -counts[row]):
        if groups and (counts[row] == counts[groups[-1][-1]] or len(groups[-1]) < least):
            groups[-1].append(row)
        else:
            groups.append([row])
    return groups
