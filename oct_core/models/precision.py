"""What networks multiply in: float32, or bfloat16 where the device has it. Weights are float32
either way.
"""

from __future__ import annotations

import torch

from oct_core.errors import ExplanationError

PRECISIONS = ("float32", "bfloat16")


def best_precision(device: torch.device) -> str:
    """ "bfloat16" where the device multiplies it in hardware, else "float32"."""
    if device.type == "cpu":
        has = torch.cpu.get_capabilities() if hasattr(torch.cpu, "get_capabilities") else {}
        return "bfloat16" if has.get("avx512_bf16") or has.get("amx_bf16") else "float32"
    return (
        "bfloat16"
        if device.type == "cuda" and torch.cuda.is_bf16_supported(including_emulation=False)
        else "float32"
    )


def multiplied_in(precision: str, device: torch.device) -> torch.autocast:
    """The context in which a model's products are of that precision; raises ExplanationError for
    one not in PRECISIONS.
    """
    check_precision(precision)
    return torch.autocast(device.type, dtype=torch.bfloat16, enabled=precision == "bfloat16")


def check_precision(precision: str) -> None:
    """Raise ExplanationError unless it is one of PRECISIONS."""
    if precision not in PRECISIONS:
        raise ExplanationError(
            "expected a precision of {precisions}, got {precision!r}",
            precisions=" or ".join(PRECISIONS),
            precision=precision,
        )
