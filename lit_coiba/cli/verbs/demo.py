"""The verb ``demo``: see it work, without data."""

from __future__ import annotations

from lit_coiba.cli.verb import FunctionVerb
from lit_coiba.demo.command import demo

DEMO = FunctionVerb(
    name="demo",
    summary="see it work, in minutes and without data: explain generated objects and photographs, measure the maps",
    position=10,
    function=demo,
    usage="demo [--KEY VALUE ...]",
    examples="""\
  Everything, and the shortest look:
    lit-coiba demo
    lit-coiba demo --images 8 --photos false --heads false""",
)
