"""Attention weights of a transformer, which fused kernels never show, and the tokens that its classifier reads."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial
from typing import Any

import torch
from timm.models.vision_transformer import ParallelThingsBlock
from torch import Tensor, nn
from torch.nn.functional import linear

from lit_coiba.backbones.backbone import Backbone
from lit_coiba.backbones.forwards import Change, output_hook, override_forward
from lit_coiba.backbones.fused_attention import attention_modules, unfused
from lit_coiba.backbones.grid_head import attached
from lit_coiba.core.errors import Unsupported
from lit_coiba.core.grid import Grid
from lit_coiba.propagation.attention_watch import AttentionWatch

UNKNOWN = "a model without attention like that of timm's ViTs or torch's MultiheadAttention"


def attention_layers(model: nn.Module, windows: bool = False) -> list[tuple[str, nn.Module]]:
    """Names and modules of attentions over one sequence of all tokens, in the order in which the model holds them.

    They are those of timm, which have ``qkv`` and pass the weights through ``attn_drop``, and torch's
    ``MultiheadAttention``.

    Args:
        model: The model.
        windows: Whether attention within windows is listed, too.
    """
    found = [(name, module) for name, module in model.named_modules() if _is_attention(module)]
    return [(name, module) for name, module in found if windows or _over_tokens(module)]


def other_attention(model: nn.Module, windows: bool = False) -> list[str]:
    """Names of attentions that `attention_layers` leaves out: within windows, over channels, or of another kind."""
    known = {module for _, module in attention_layers(model, windows)}
    found = {name for name, _ in attention_layers(model, windows=True)}
    switched = set(attention_modules(model))
    return [name for name, m in model.named_modules() if m not in known and (name in found or m in switched)]


@contextmanager
def unfused_attention(model: nn.Module) -> Iterator[None]:
    """timm's attention computed step by step, so that weights exist; on leaving, the flags are as they were."""
    with unfused(attention_modules(model)):
        yield


@contextmanager
def record_attention(model: nn.Module) -> Iterator[list[Tensor]]:
    """The attention weights of every forward inside, ``(B, heads, T, T)`` each, block by block, still in the graph.

    On leaving, the model is as it was.

    Example::

        with record_attention(model) as weights:
            logits = model(images)
        gradients = torch.autograd.grad(logits[:, 0].sum(), weights)

    Raises:
        Unsupported: In a forward inside: tokens are mixed in another way too, or not by the weights as they are.
    """
    recorded: list[Tensor] = []
    inner = model.model if isinstance(model, Backbone) else model
    watch = AttentionWatch(recorded)

    def record(weights: Tensor) -> Tensor:
        recorded.append(weights)
        return weights

    with ExitStack() as stack:
        stack.enter_context(unfused_attention(model))
        stack.enter_context(explicit_multihead(model, record))
        for name, module in attention_layers(model):
            if not isinstance(module, nn.MultiheadAttention):
                drop: Any = module.attn_drop
                stack.callback(drop.register_forward_hook(output_hook(record)).remove)
            for handle in watch.inside(name, module):
                stack.callback(handle.remove)
        head = attached(inner)
        for handle in () if head is None else watch.ignore(head):
            stack.callback(handle.remove)
        stack.enter_context(watch)
        yield recorded


@contextmanager
def explicit_multihead(model: nn.Module, weights: Change = lambda weights: weights) -> Iterator[None]:
    """torch's ``MultiheadAttention`` step by step, in torch's operations; on leaving, it is as it was.

    Args:
        model: The model.
        weights: Function of the attention weights ``(B, heads, T, T)``, which returns those to go on with.
    """
    with ExitStack() as stack:
        for name, module in model.named_modules():
            if isinstance(module, nn.MultiheadAttention):
                stack.enter_context(override_forward(module, partial(_multihead, name, module, weights)))
        yield


def token_grid(model: nn.Module) -> Grid:
    """Places in the image of the tokens that all attentions of `model` see.

    Args:
        model: A `Backbone`.

    Raises:
        Unsupported: It is no transformer whose attentions all see the same sequence of tokens.
    """
    inner = model.model if isinstance(model, Backbone) else model
    layers, others, found, what, where = attention_layers(inner), other_attention(inner), None, UNKNOWN, ""
    parallel = [name for name, module in inner.named_modules() if isinstance(module, ParallelThingsBlock)]
    if parallel:
        what, where = "parallel attentions in one block", parallel[0]
    elif layers and others:
        what, where = "a second kind of attention beside that over all tokens", others[0]
    elif layers and getattr(inner, "global_pool", "") in ("max", "avgmax", "catavgmax"):
        what = "max pooling of tokens"
    elif layers and isinstance(model, Backbone):
        grids = {name: model.grid(name) for name in model.layers()}
        around = [_enclosing(name, grids) for name, _ in layers]
        same = len({grid and (grid.layout, grid.num_prefix_tokens, grid.height, grid.width) for grid in around}) == 1
        found = around[-1] if same and around[-1] is not None and around[-1].layout == "tokens" else None
        what = "attention over tokens that change from block to block"
        if found is None and model.misplaced:
            what = "tokens that are not in reading order, row by row with CLS first"
    elif others:
        windows = [name for name, module in inner.named_modules() if name in others and hasattr(module, "window_size")]
        what = "attention within windows" if windows else "attention of another kind than over all tokens"
        where = (windows or others)[0]
    if found is None:
        raise Unsupported(what, where)
    return found


def read_tokens(model: nn.Module, grid: Grid) -> Tensor:
    """Shares of the tokens in what the classifier reads, ``(T,)``, which sum to 1.

    The CLS token, the first one, has it all. Where the classifier pools the patches (timm's ``global_pool`` other than
    ``token``, no CLS, or a head on the feature grid), each patch has the same share, and prefix tokens have none unless
    they are pooled too. A distilled DeiT has a head on CLS and one on the token behind it: each has a half.
    """
    inner: Any = model.model if isinstance(model, Backbone) else model
    start = torch.zeros(grid.positions, dtype=torch.float64)  # what it multiplies decides the precision
    headless = attached(inner) is None
    pools_patches = getattr(inner, "global_pool", "token") != "token" or not headless
    if headless and isinstance(getattr(inner, "head_dist", None), nn.Module):
        start[:2] = 0.5
    elif headless and pools_patches and getattr(inner, "pool_include_prefix", False):
        start[:] = 1 / grid.positions
    elif grid.num_prefix_tokens and not pools_patches:
        start[0] = 1
    else:
        start[grid.num_prefix_tokens :] = 1 / (grid.positions - grid.num_prefix_tokens)
    return start


def flow(start: Tensor, steps: Sequence[Tensor]) -> Tensor:
    """Row vector ``start . steps[-1] ... steps[0]``: shares of the last layer's tokens, carried back to the first.

    Args:
        start: Shares of the last layer's tokens, ``(T,)``.
        steps: Matrices from the first block to the last, ``(B, T, T)`` each: row i holds the shares of all tokens in
            the content of token i.

    Example:
        >>> mixing = torch.tensor([[[0.5, 0.5], [0.0, 1.0]]])
        >>> flow(torch.tensor([1.0, 0.0]), [mixing, mixing])
        tensor([[0.2500, 0.7500]])
    """
    row = start.to(steps[-1]).expand(len(steps[-1]), -1)
    for step in reversed(steps):
        row = (row.unsqueeze(2) * step).sum(1)  # autocast would make a matrix product less precise
    return row


def _enclosing(name: str, grids: dict[str, Grid]) -> Grid | None:
    """The grid of the module `name`, or of the nearest one around it that has one."""
    while name:
        if name in grids:
            return grids[name]
        name = name.rpartition(".")[0]
    return None


def _is_attention(module: nn.Module) -> bool:
    if isinstance(module, nn.MultiheadAttention):
        return True
    parts = (getattr(module, part, None) for part in ("qkv", "attn_drop"))
    return all(isinstance(part, nn.Module) for part in parts)


def _over_tokens(module: nn.Module) -> bool:
    """Not within windows, and not over channels: timm's cross-covariance attentions alone have a temperature.

    The "window" of BEiT is the whole image: its table of relative positions has three entries more, for the CLS token.
    """
    if hasattr(module, "temperature"):
        return False
    window, table = getattr(module, "window_size", None), getattr(module, "relative_position_bias_table", None)
    if window is None:
        return True
    return isinstance(table, Tensor) and len(table) == (2 * window[0] - 1) * (2 * window[1] - 1) + 3


def _multihead(
    name: str,
    module: nn.MultiheadAttention,
    weights: Change,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    key_padding_mask: Tensor | None = None,
    need_weights: bool = True,
    attn_mask: Tensor | None = None,
    **kwargs: Any,
) -> tuple[Tensor, None]:
    """The forward of self-attention in steps that autograd sees; average weights are not returned."""
    if query is not key or key is not value or key_padding_mask is not None or attn_mask is not None:
        raise Unsupported("MultiheadAttention with a mask or between several sequences", name)
    if module.bias_k is not None or module.add_zero_attn:
        raise Unsupported("MultiheadAttention with additional keys", name)
    tokens = query if module.batch_first else query.transpose(0, 1)
    projected = linear(tokens, module.in_proj_weight, module.in_proj_bias)
    q, k, v = projected.unflatten(-1, (3, module.num_heads, module.head_dim)).permute(2, 0, 3, 1, 4)
    attention = weights(((q * module.head_dim**-0.5) @ k.transpose(-2, -1)).softmax(-1))
    output = module.out_proj((attention @ v).transpose(1, 2).flatten(2))
    return (output if module.batch_first else output.transpose(0, 1)), None
