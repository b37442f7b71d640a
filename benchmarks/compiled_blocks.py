"""Whether `torch.compile` would pay for CoIBA: a block of a ViT-S, forward and back, compiled and as it is.

    python -m benchmarks.compiled_blocks [--backend inductor] [--rounds 8]

One thread, 14 noise copies of 145 tokens, gradients of the block's input. No bottleneck is in the block, whose hook
would split what is compiled: the ratio is the most that could be gained. The first call's processor time, compilers
included, is that of compilation, where nothing of it lies in torch's cache; a C++ compiler is needed.
"""

from __future__ import annotations

import argparse
import os
import warnings
from functools import partial
from typing import Any

import torch
from torch import Tensor

from benchmarks._models import caltech_vit
from benchmarks._operations import single_thread
from benchmarks._turns import take_turns
from lit_coiba.backbones.fused_attention import attention_modules, unfused

COPIES, TOKENS, WIDTH = 14, 145, 384


def processor() -> float:
    """Seconds of the processor that this process and those that it has started took so far."""
    found = os.times()
    return found.user + found.system + found.children_user + found.children_system


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--backend", default="inductor")
    parser.add_argument("--rounds", type=int, default=8)
    given = parser.parse_args()
    warnings.simplefilter("ignore")
    told, model = single_thread(), caltech_vit().eval().requires_grad_(False)
    block: Any = model.get_submodule("model.blocks.4")
    tokens = torch.randn(COPIES, TOKENS, WIDTH)
    for name, low in (("fp32", False), ("bf16", True)):

        def gradient(run: Any, low: bool = low) -> Tensor:
            leaf = tokens.clone().requires_grad_(True)
            with torch.autocast("cpu", torch.bfloat16, enabled=low):
                found = run(leaf)
            return torch.autograd.grad(found.float().square().sum(), leaf)[0]

        with unfused(attention_modules(model) if low else []):
            torch._dynamo.reset()
            compiled = torch.compile(block, backend=given.backend)
            began = processor()
            first = gradient(compiled)
            taken, plain = processor() - began, gradient(block)
            apart = float((first - plain).abs().max() / plain.abs().max())
            turns = take_turns(partial(gradient, block), partial(gradient, compiled), given.rounds)
        said = f"compiled in {taken:.1f} s; gradients {apart:.0e} apart; plain | compiled | ratio {turns}"
        print(f"{told}, {name}: {said}", flush=True)


if __name__ == "__main__":
    main()
