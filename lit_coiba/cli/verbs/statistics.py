"""The verb ``statistics``: activation statistics, once for many runs of ``explain``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lit_coiba.cli import terminal
from lit_coiba.cli.verb import OWN_MODEL, TrainerVerb
from lit_coiba.core.printable import counted, listed

if TYPE_CHECKING:
    from lit_coiba.bottlenecks.statistics import ActivationStatistics
    from lit_coiba.cli.trainer_command import TrainerCommand


def report(statistics: ActivationStatistics, command: TrainerCommand) -> int:
    """Say where they are, and of what."""
    of = counted(statistics.count, "image")
    terminal.say(f"Statistics of {of} are in {command.config.file}, for {listed(statistics.layers)}")
    return 0


STATISTICS = TrainerVerb(
    name="statistics",
    summary="estimate the activation statistics that CoIBA and IBA need, once for many runs of explain",
    position=40,
    module="lit_coiba.modules.explainer.Explainer",
    section="statistics",
    listed=("weights", "head"),
    unused_data=("augment", "limit", "limit_order"),
    defaults={"method": {"class_path": "CoIBA"}},
    resumable=True,
    report=report,
    examples=f"""\
  Once, for many runs of explain with the same model, method and image domain:
    lit-coiba statistics -c configs/method/coiba.yaml {OWN_MODEL} \\
        --data.root DIR --file statistics.safetensors
    lit-coiba explain -c configs/method/coiba.yaml {OWN_MODEL} \\
        --data.root DIR --store runs/coiba --model.method.statistics statistics.safetensors
  Without a file, explain estimates them itself and keeps them in its store.""",
)
