"""The verb ``demo``: everything on built-in data."""

from __future__ import annotations

from lit_coiba.cli.verb import FunctionVerb
from lit_coiba.demo.command import demo

DEMO = FunctionVerb(
    name="demo",
    summary="try everything on built-in data in minutes: explain generated objects and photographs, score the maps",
    position=10,
    function=demo,
    usage="demo [--KEY VALUE ...]",
    examples="""\
  Everything, and the shortest run:
    lit-coiba demo
    lit-coiba demo --images 8 --photos false --heads false""",
)
