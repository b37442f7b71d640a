"""How many processes read files."""

from __future__ import annotations

import os

from lit_coiba.core.errors import InputError, check_count

_MOST, _MOST_A_CORE = 32, 4


def check_workers(number: int | None) -> None:
    """Refuse more processes than a machine can be meant to have; None = to be chosen.

    Raises:
        InputError: It is no whole number, or too large.
    """
    if number is None:
        return
    check_count(0, num_workers=number)
    cores = os.cpu_count() or 1
    most = max(_MOST, _MOST_A_CORE * cores)
    if number > most:
        raise InputError(f"num_workers is {number}, and this machine has {cores} cores: give at most {most}")


def spare_cores(processes: int) -> int:
    """Up to four cores, of those that are left when each of so many processes has one."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    spare = cores // processes - 1
    return min(4, spare) if spare > 1 else 0
