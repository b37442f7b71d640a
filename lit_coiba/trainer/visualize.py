"""What `Trainer.visualize` does: an optimized image for each of many things, shared out among processes by files."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack
from importlib.metadata import version
from pathlib import Path
from typing import Any

from lit_coiba import __version__
from lit_coiba.backbones import Backbone
from lit_coiba.callbacks.item_progress import item_progress
from lit_coiba.core.class_identity import class_identity
from lit_coiba.core.errors import InputError, check_count
from lit_coiba.core.frozen import preserve_state
from lit_coiba.core.printable import a_kind, printable
from lit_coiba.data.module import BlockDataModule, Pass
from lit_coiba.feature_visualization.chosen import chosen_things
from lit_coiba.feature_visualization.visualization_run import ITEMS, VERB, VisualizationRun, claim_identity
from lit_coiba.files.atomic import remove_leftovers
from lit_coiba.files.given_path import given_path
from lit_coiba.files.owned import check_own_folder, claim_folder, is_marked
from lit_coiba.modules.visualization import VisualizationModule
from lit_coiba.trainer.block_run import BlockRun, Module, module_run, on_rank_zero
from lit_coiba.trainer.places import check_place, place_of
from lit_coiba.trainer.scoring_verbs import limit_of
from lit_coiba.trainer.visualization_measures import measure_visualizations
from lit_coiba.trainer.visualization_pages import draw_visualizations
from lit_coiba.trainer.visualization_work import VisualizationWork


class VisualizationVerb:
    """The verb `visualize` of the Trainer."""

    _over: Callable[[Module, BlockDataModule, Pass], AbstractContextManager[BlockRun[Module]]]

    def visualize(
        self: Any,
        model: VisualizationModule,
        output: str,
        datamodule: BlockDataModule | None = None,
        classes: list[str] = [],  # noqa: B006 - never changed; the command line shows it
        channels: list[str] = [],  # noqa: B006 - never changed, as the following ones
        neurons: list[str] = [],  # noqa: B006
        concepts: list[Any] = [],  # noqa: B006
        units: list[str] = [],  # noqa: B006
        targets: list[Any] = [],  # noqa: B006
        embeddings: list[str] = [],  # noqa: B006
        batch_size: int = 8,
        others: list[Any] = [],  # noqa: B006
        pictures: bool = True,
    ) -> VisualizationRun:
        """Optimize an image for each class of a model, or for other things in it: what do they respond to?

        No data are needed. Each image is on disk, in a folder of its own below `output`, as soon as it is done; the
        same call again does what is missing, and more things go into the same folder. Processes share the things,
        those of one run as well as several commands at the same time. At the end all are drawn on pages, also for
        TensorBoard.

        If data are given, each image is compared with the natural images that activate the same thing most: how near
        it is to them (plausibility), whether its score over crops that it was not optimized on is above that of the
        best of them, and the squared Frechet distance of all (FID, of the model's own features). These measures are
        ours, after those of MACO's authors; a stopped comparison begins anew.

        Args:
            model: Model and visualizer.
            output: Folder for all results.
            datamodule: Natural images to compare with; None = no comparison.
            classes: Classes by number, range or name: 0-9 tench; all = all of them, also where nothing is chosen.
            channels: Channels of layers: layer3:0-15 layer4:all.
            neurons: Channels at one place, by row and column, or in the middle: layer3:5@2,3 layer3:7.
            concepts: Files that Concepts.save wrote, or folders of them; in Python also concepts.
            units: Units of the model's interpretable head, by number or range; all = all of them.
            targets: Targets by their words; in Python also targets.
            embeddings: NumPy files of features of the model, (D,) or (n, D).
            batch_size: Number of images that are optimized at once.
            others: Files of other models with the same classes, as export or fit leave them, under which the classes'
                images are scored too (transferability); in Python also models.
            pictures: Whether to draw the pages, and the TensorBoard log.

        Returns:
            The folder's content.

        Raises:
            InputError: The folder has images of another model or visualizer, or something chosen is not there.
        """
        check_count(batch_size=batch_size)
        if self.precision != "32-true":
            raise InputError("visualize computes in the precision of the model's weights: leave out trainer.precision")
        folder = visualization_place(output, datamodule)
        words = (classes, channels, neurons, concepts, units, targets, embeddings)
        chosen = chosen_things(model.network, *map(_several, words))
        compared = other_models(model, others)
        with module_run(self, model) as termination, ExitStack() as stack:
            for one in compared.values():
                stack.enter_context(preserve_state(one))
            for one in (model.network, *compared.values()):
                one.to(self.strategy.root_device)
            on_rank_zero(self, lambda: _claim(folder, model, compared))
            work = VisualizationWork(model, chosen, folder, compared, batch_size, termination)
            shown = self.is_global_zero and self.progress_bar_callback is not None and bool(work.missing())
            with item_progress("Visualizing", "images", len(chosen), shown) as progress:
                work.run(self.global_rank, self.world_size, progress)
            self.strategy.barrier()
        if datamodule is not None:
            with self._over(model, datamodule, Pass(limit=limit_of(datamodule))) as run:
                run.on_rank_zero(lambda: measure_visualizations(run, VisualizationRun(folder), chosen))
        if pictures and self.is_global_zero:
            draw_visualizations(VisualizationRun(folder), {one.key for one in chosen})
        return VisualizationRun(folder)


def visualization_place(output: str | os.PathLike[str], data: BlockDataModule | None) -> Path:
    """The folder for the results.

    Raises:
        InputError: It cannot be written, or is not the verb's own.
    """
    if data is not None:
        return place_of(output, "output", data, lambda found: is_marked(found, VERB))
    folder = given_path(output, "output")
    check_place(folder, "output")
    check_own_folder(folder, "output", lambda found: is_marked(found, VERB))
    return folder


def other_models(model: VisualizationModule, given: Sequence[Any]) -> dict[str, Any]:
    """Other models by name: those of files by the names of the files.

    Raises:
        InputError: There is no such model, or it has other classes.
    """
    found: dict[str, Any] = {}
    for number, one in enumerate(given):
        if isinstance(one, (str, os.PathLike)):
            name, other = Path(one).stem, Backbone.load(given_path(one, "others")).eval()
        elif isinstance(one, Backbone):
            name, other = str(one.arguments.get("name") or f"model {number}"), one
        else:
            raise InputError(f"others has {a_kind(one)}: give files of models, or Backbones")
        if other.num_classes != model.network.num_classes:
            raise InputError(
                f"others: {printable(name, 80)} has {other.num_classes} classes, and the model"
                f" {model.network.num_classes}: give models of the same classes"
            )
        found[name if name not in found else f"{name} {number}"] = other
    return found


def _claim(folder: Path, model: VisualizationModule, others: Mapping[str, Any]) -> None:
    claim_folder(folder, "output", VERB)
    (folder / ITEMS).mkdir(exist_ok=True)
    remove_leftovers(folder / ITEMS)
    visualizer = model.visualizer
    identity = {
        "model": model.network.digest(),
        "preprocessing": model.preprocessing.identity(),
        "visualizer": {"class": class_identity(type(visualizer)), **visualizer.identity()},
        "class_names": list(model.network.class_names or ()),
        "others": {name: other.digest() for name, other in others.items()},
    }
    claim_identity(folder, identity, {"lit-coiba": __version__, **{name: version(name) for name in ("torch", "timm")}})


def _several(words: Any) -> list[Any]:
    """A list of what was given: one word stands for a list of it."""
    return [words] if isinstance(words, str) else list(words)
