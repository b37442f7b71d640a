"""Which precision a machine is good at."""

import torch


def automatic_precision() -> str:
    """``bf16-mixed`` where the default device multiplies bf16 matrices in hardware, else ``32-true``."""
    if torch.cuda.is_available():
        return "bf16-mixed" if torch.cuda.is_bf16_supported(including_emulation=False) else "32-true"
    capabilities = getattr(torch.cpu, "get_capabilities", dict)()
    return "bf16-mixed" if capabilities.get("amx_bf16") or capabilities.get("avx512_bf16") else "32-true"
