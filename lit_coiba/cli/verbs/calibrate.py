"""The verb ``calibrate``: the metrics themselves under test."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lit_coiba.cli import terminal
from lit_coiba.cli.verb import OWN_MODEL, TrainerVerb

if TYPE_CHECKING:
    from lit_coiba.benchmark.calibration import Verdict
    from lit_coiba.cli.trainer_command import TrainerCommand


def report(found: dict[str, Verdict], command: TrainerCommand) -> int:
    """Say of each metric what became of it."""
    wide = max(map(len, found), default=0)
    for name, one in found.items():
        means = f"oracle {one.oracle:.3f}, random {one.random:.3f}, constant {one.constant:.3f}"
        terminal.say(f"{name:{wide}}  {one.word:30}  {means}")
    terminal.say(f"The verdicts are in {command.config.output}/metric_checks.md, all scores in leaderboard.md")
    return 0


CALIBRATE = TrainerVerb(
    name="calibrate",
    summary="test the metrics themselves on your model and data: the true map must win, a random one lose",
    position=56,
    module="lit_coiba.modules.scorer.Scorer",
    section="scores",
    unused_data=("augment", "limit"),
    resumable=True,
    report=report,
    examples=f"""\
  On generated images whose evidence is known:
    lit-coiba calibrate -c configs/model/synthetic_parts_cnn.yaml --data SyntheticParts --limit 100 \\
        --suite faithfulness --output runs/calibrate
  On your own model and images, with boxes:
    lit-coiba calibrate {OWN_MODEL} --data.root DIR \\
        --data.csv BOXES --output runs/calibrate
  A metric is passed where the oracle is first, a random map is last, and worse oracles score worse.""",
)
