"""One tiny forward that records what every module returns, when, and in which link of the chain."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from lit_coiba.backbones.chains import Link
from lit_coiba.core.errors import InputError
from lit_coiba.core.frozen import kept_randomness
from lit_coiba.core.plain_forward import plain_forward
from lit_coiba.core.printable import printable

_USUAL = (224, 224)  # pixels
_MULTIPLE = 32  # of which many networks need their images
_CHANNELS = re.compile(r"to have (\d+) channels?, but got \d+ channels? instead")  # torch's own words
BATCH = 2  # an output whose first axis is not this is not one entry per image


class Record(NamedTuple):
    """What one module did in the forward."""

    order: int  # when its output was complete, counted over all modules
    link: int  # in which link of the chain
    whole: bool  # its output is the output of that link
    calls: int
    shape: tuple[int, ...] | None  # of its output, without the batch axis; None = not one tensor with a row per image


class Probe(NamedTuple):
    """What the forward of one image size showed."""

    size: tuple[int, int]  # height, width in pixels
    records: dict[str, Record]  # module name -> record, in the order of execution
    writes_input: frozenset[int]  # links that write into the tensor they are given
    output: tuple[int, ...] | None  # shape of the last link's output, without the batch axis
    channels_last: bool  # it runs with the channels of feature maps last in memory; `view` may not

    def writing(self, links: set[int]) -> Probe:
        """The same with more links known to write into what they are given."""
        return self._replace(writes_input=self.writes_input | links)

    def ordered(self, stream: Tensor) -> Tensor:
        """Images or feature maps ``(B, C, H, W)`` in the order in memory in which convolutions are fastest.

        Channels last is up to 2.5 times faster; the numbers are the same.
        """
        return stream.contiguous(memory_format=torch.channels_last) if self.channels_last else stream


def probe(model: nn.Module, links: Sequence[Link], size: tuple[int, int], channels: int = 3) -> Probe:
    """Run `links`, the chain of `model`, on blank images of `size` and record every module.

    Raises:
        InputError: The model does not run on images of this size.
    """
    with suppress(Exception), plain_forward(model):
        return _probe(model, links, size, channels, torch.channels_last)
    try:
        with plain_forward(model):
            return _probe(model, links, size, channels, torch.contiguous_format)
    except Exception as error:  # whatever anyone's forward comes across
        if (other := _CHANNELS.search(str(error))) and int(other[1]) != channels:
            raise InputError(_other_channels(type(model).__name__, int(other[1]))) from error
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        if not isinstance(error, (AssertionError, RuntimeError, ValueError, TypeError)):
            reason = f"{type(error).__name__}: {reason}"
        raise InputError(
            f"{type(model).__name__} does not run on images of {size[0]} x {size[1]} pixels ({printable(reason, 200)}):"
            f" {_remedy(model, links, size, channels)}"
        ) from error


def _remedy(model: nn.Module, links: Sequence[Link], size: tuple[int, int], channels: int) -> str:
    """What to do with a model that does not run on images of this size: whether it is the size is tried."""
    rounded = tuple(-(-side // _MULTIPLE) * _MULTIPLE for side in size)
    for other in dict.fromkeys([(rounded[0], rounded[1]), (max(rounded), max(rounded)), _USUAL]):
        if other != size:
            with suppress(Exception), plain_forward(model):
                _probe(model, links, other, channels, torch.contiguous_format)
                return f"choose another image_size, such as {other[0]} x {other[1]}, on which it runs"
    return (
        "choose another image_size, or, if it is not the size, wrap a module whose forward takes images"
        f" (B, {channels}, H, W), and nothing else, and returns logits (B, K)"
    )


def _probe(
    model: nn.Module, links: Sequence[Link], size: tuple[int, int], channels: int, layout: torch.memory_format
) -> Probe:
    records: dict[str, Record] = {}
    writing = set()
    position = 0

    def recorder(name: str) -> Any:
        def record(module: nn.Module, args: Any, output: Any) -> None:
            calls = records[name].calls + 1 if name in records else 1
            records[name] = Record(len(order), position, False, calls, _shape(output))
            order.append(name)

        return record

    order: list[str] = []
    own = like(model)
    with evaluated(model), kept_randomness(own.device), torch.inference_mode(False), torch.no_grad():
        handles = [m.register_forward_hook(recorder(name)) for name, m in model.named_modules() if name]
        try:
            stream = torch.zeros((BATCH, channels, *size), dtype=own.dtype, device=own.device)
            stream = stream.contiguous(memory_format=layout)
            for position, link in enumerate(links):
                given, version = stream, stream._version
                stream = link.forward(stream)
                if given._version != version:
                    writing.add(position)
                for name in filter(None, link.outputs):
                    records[name] = Record(len(order), position, True, 1, _shape(stream))
                    order.append(name)
        finally:
            for handle in handles:
                handle.remove()
    found = dict(sorted(records.items(), key=lambda item: item[1].order))
    return Probe(size, found, frozenset(writing), _shape(stream), layout == torch.channels_last)


def _other_channels(title: str, count: int) -> str:
    """What is wrong with a model that does not take images of three channels."""
    inputs = {1: "images.mean(1, keepdim=True)", 4: "torch.cat([images, images.mean(1, keepdim=True)], 1)"}
    return (
        f"{title} takes images of {count} channel{'s' if count > 1 else ''}, and lit-coiba gives them 3 (red, green,"
        f" blue): wrap a module whose forward returns model({inputs.get(count, f'made of images, {count} channels')})"
    )


def _shape(output: Any) -> tuple[int, ...] | None:
    if not isinstance(output, Tensor) or output.dim() < 2 or len(output) != BATCH:
        return None
    return tuple(output.shape[1:])


def like(model: nn.Module) -> Tensor:
    """A tensor with the dtype and the device of a model's input: that of its first weights, if it has any."""
    weights = (tensor for tensors in (model.parameters(), model.buffers()) for tensor in tensors)
    return next((tensor for tensor in weights if tensor.is_floating_point()), torch.zeros(()))


@contextmanager
def evaluated(model: nn.Module) -> Iterator[None]:
    """Evaluation mode; on leaving, every module's train flag is what it was."""
    flags = [(m, m.training) for m in model.modules()]
    try:
        model.eval()
        yield
    finally:
        for module, flag in flags:
            module.training = flag
