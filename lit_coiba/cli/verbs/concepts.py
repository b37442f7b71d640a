"""The verb ``concepts``: what the layers of a model see of each class, and whether that matters."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lit_coiba.cli import terminal
from lit_coiba.cli.verb import OWN_MODEL, TrainerVerb
from lit_coiba.core.printable import counted

if TYPE_CHECKING:
    from lit_coiba.cli.trainer_command import TrainerCommand
    from lit_coiba.concepts.concept_run import ConceptRun


def report(found: ConceptRun, command: TrainerCommand) -> int:
    """Say where they are, of which classes, and how well they account for the logits."""
    reports = list(found.reports())
    done = [one for one in reports if one.concepts]
    concepts = counted(sum(len(one.concepts) for one in done), "concept")
    terminal.say(
        f"{concepts} of {counted(len(done), 'class', 'classes')} are in {found.path}; pages of them:"
        f" lit-coiba explorer {found.path} --out site"
    )
    if done:
        error = sum(one.error for one in done) / len(done)
        costs = [one for one in done if one.top_deletion is not None and one.measured > 1]
        clear = sum(one.top_deletion.high < 0 for one in costs if one.top_deletion is not None)
        told = (
            f"; the most important concept costs more of the logit than another one in {clear} of"
            f" {counted(len(costs), 'class', 'classes')}, beyond the 95% interval"
        )
        terminal.say(f"  relative error {error:.2f} on average{told if costs else ''}")
    if single := [one for one in done if one.measured == 1]:
        terminal.say(
            f"  {counted(len(single), 'class', 'classes')} measured on a single image, such as {single[0].cls}:"
            " there are no intervals"
        )
    if without := [one for one in reports if not one.concepts]:
        first = without[0]
        terminal.say(
            f"  {counted(len(without), 'class', 'classes')} without concepts, such as {first.cls}: {first.reason}"
        )
    return 0


CONCEPTS = TrainerVerb(
    name="concepts",
    summary="find the concepts of every class by CRAFT, their importance, and what the logit does without them",
    position=62,
    module="lit_coiba.modules.concept_search.ConceptSearch",
    section="search",
    unused_data=("augment", "limit", "split"),
    resumable=True,
    report=report,
    examples=f"""\
  Ten concepts of each class that the model gives an image, in the training images:
    lit-coiba concepts {OWN_MODEL} \\
        --data.root DIR --output runs/concepts
    pages of all of it                        lit-coiba explorer runs/concepts --out site
  The same command again continues a stopped run; started twice at once, both share the classes.
    some classes only                         --classes leopard 17
    five concepts, by NMF                     --model.factorization NMF --model.factorization.n_concepts 5
    for activations of both signs             --model.factorization SemiNMF
    another layer                             --model.layer layer3
    crops of the images, as in the paper      --model.crop_size 64
    a stricter test on more images            --model.measured 200""",
)
