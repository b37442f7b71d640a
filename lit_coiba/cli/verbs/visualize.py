"""The verb ``visualize``: images that show what the classes, channels or concepts of a model respond to."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lit_coiba.cli import terminal
from lit_coiba.cli.verb import CHECKPOINT, OWN_MODEL, TrainerVerb
from lit_coiba.core.printable import counted

if TYPE_CHECKING:
    from lit_coiba.cli.trainer_command import TrainerCommand
    from lit_coiba.feature_visualization import VisualizationRun


def report(found: VisualizationRun, command: TrainerCommand) -> int:
    """Say where they are, and how they compare with natural images."""
    drawn = ", drawn in visualizations.png" if command.config.pictures else ""
    terminal.say(f"{counted(len(found), 'visualization')} are in {found.path}{drawn}")
    measures = found.measures
    if command.datamodule is not None and measures is not None:
        fid = "" if measures.fid is None else f", Frechet distance of the features {measures.fid:.4g}"
        near = "" if measures.plausibility is None else f", plausibility {measures.plausibility:.2f}"
        terminal.say(
            f"Against {counted(measures.images, 'natural image')}: {measures.above_real} of {len(measures.each)} score"
            f" higher than the best of them on crops that they were not optimized on{near}{fid}"
        )
    return 0


VISUALIZE = TrainerVerb(
    name="visualize",
    summary="optimize images that show what classes, channels, concepts or units of a model respond to (MACO)",
    position=63,
    module="lit_coiba.modules.visualization.VisualizationModule",
    section="module",
    unused_data=("augment", "split"),
    defaults={"visualizer": {"class_path": "MACO"}},
    resumable=True,
    needs_data=False,
    report=report,
    examples=f"""\
  An image for every class of a model, without any data; pictures go to runs/visualized:
    lit-coiba visualize {OWN_MODEL} --output runs/visualized
  The same command again continues a stopped run, and the same command twice at a time shares the work.
    some classes, by number, range, name    --classes 0-9 tench
    faster, on a CPU                        --model.visualizer.canvas 256 --model.visualizer.steps 64
                                            --model.visualizer.crops 4 --model.visualizer.crop_side 0.7
    channels of layers, one place of them   --channels layer3:0-15 --neurons layer3:5@2,3
    concepts of CRAFT                       --concepts runs/concepts
    without a fixed magnitude spectrum      --model.visualizer FourierBaseline
    score them under other models too       --others resnet.safetensors
    compare them with natural images        --data.root DIR --data.limit 5000
  The units of a head that lit-coiba fit has trained with --model.head:
    lit-coiba visualize {OWN_MODEL} \\
        --model.weights {CHECKPOINT} --units all --output runs/units""",
)
