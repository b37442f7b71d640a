"""What `Trainer.representativity` does: models of k folds, their explanations, and how they compare."""

from __future__ import annotations

import copy
import json
import os
import shutil
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any

import lightning
import torch
from lightning import Callback
from lightning.pytorch.callbacks import Checkpoint, ModelCheckpoint, ProgressBar
from lightning.pytorch.utilities import rank_zero_info

from lit_coiba import attribution
from lit_coiba.backbones.weight_values import check_values
from lit_coiba.benchmark.representativity import FILES, Representativity, check_tables, compare, summary
from lit_coiba.callbacks import ExportWeights
from lit_coiba.core.class_identity import class_identity
from lit_coiba.core.ending import Stopped
from lit_coiba.core.errors import InputError, check_choice
from lit_coiba.core.frozen import kept_randomness
from lit_coiba.core.method import AttributionMethod
from lit_coiba.core.plain_values import is_plain
from lit_coiba.core.printable import a_kind, printable
from lit_coiba.data.folds import Folds
from lit_coiba.data.module import BlockDataModule
from lit_coiba.files.atomic import atomically
from lit_coiba.files.held import held
from lit_coiba.files.json_text import read_json
from lit_coiba.files.owned import claim_folder, is_marked
from lit_coiba.functional.similarity import Distance
from lit_coiba.modules.explainer import Explainer
from lit_coiba.store import ExplanationStore
from lit_coiba.trainer.places import place_of
from lit_coiba.trainer.quiet import quiet
from lit_coiba.training.checkpoint_file import read_checkpoint
from lit_coiba.training.classifier import Classifier

VERB = "representativity"
RUN, WEIGHTS, CHECKPOINTS, LAST = "run.json", "model.ckpt", "checkpoints", "last"
SETTINGS = (  # of a Trainer, which decide what a fit comes to
    *("max_epochs", "max_steps", "precision", "gradient_clip_val", "gradient_clip_algorithm"),
    *("accumulate_grad_batches", "limit_train_batches", "overfit_batches"),
)


class FoldTraining:
    """k models, each trained without one fold, and what is known of them on disk.

    Args:
        trainer: Trainer whose settings the fits have.
        given: Arguments that it was made with.
        model: The classifier as it begins; every model is trained from a copy.
        data: The data without each fold.
        folder: Folder of everything.
        seed: Seed of each fit.
    """

    def __init__(
        self,
        trainer: lightning.Trainer,
        given: Mapping[str, Any],
        model: Classifier,
        data: Sequence[Folds],
        folder: Path,
        seed: int,
    ) -> None:
        self._kind, self._given = type(trainer), given
        self._model, self._data, self._folder, self._seed = model, data, folder, seed

    def claim(self) -> None:
        """Mark the folder with what decides the models.

        Raises:
            InputError: It has models of something else.
        """
        claim_folder(self._folder, "output", VERB)
        here = json.loads(json.dumps(self.identity(), default=str))
        file = self._folder / RUN
        with suppress(FileNotFoundError):
            made = read_json(file, dict[str, Any], "output")
            if differing := [name for name in here if made.get(name) != here[name]]:
                raise InputError(
                    f"output {printable(self._folder, 200)} has models of another run (other"
                    f" {', '.join(differing)}): give the arguments of that run, or another folder"
                )
            return
        with atomically(file) as out:
            out.write(f"{json.dumps(here, indent=1)}\n".encode())

    def identity(self) -> dict[str, Any]:
        """What decides the models, as plain values."""
        first, given = self._data[0], self._given
        whole = first.dataset("predict")
        settings = {name: given[name] for name in SETTINGS if given.get(name) is not None}
        own = {name: value for name, value in dict(self._model.hparams).items() if is_plain(value)}
        return {
            "weights": self._model.backbone.digest(),
            "classifier": {"class": class_identity(type(self._model)), **own, "class_names": None},
            "trainer": settings,
            "data": first.identity(),
            "samples": [list(whole.ids), list(whole.labels)],
            "folds": [first.folds, first.seed],
            "seed": self._seed,
        }

    def model(self, number: int) -> Classifier:
        """The model without fold `number`, trained where it was not yet.

        It always comes from its file, so that it is the same in the run that trained it and in any later one.
        """
        folder = self._folder / f"fold_{number}"
        if not (folder / WEIGHTS).exists():
            self._train(number, folder)
        shutil.rmtree(folder / CHECKPOINTS, ignore_errors=True)
        found, weights = copy.deepcopy(self._model), read_checkpoint(folder / WEIGHTS)["state_dict"]
        check_values(weights, found.state_dict(), str(folder / WEIGHTS))
        found.load_state_dict(weights)
        return found.eval()

    def explained(
        self, models: Sequence[Classifier], name: str, make: Callable[[], AttributionMethod]
    ) -> list[ExplanationStore]:
        """The maps of the true class by each model, one store for each."""
        stores = []
        for number, one in enumerate(models):
            rank_zero_info(f"explaining by {name}, model {number + 1} of {len(models)}")
            place = str(self._folder / f"fold_{number}" / name)
            with quiet(), seeded(self._seed):
                explainer = Explainer(one.network, make(), targets="label")
                stores.append(self.trainer().explain(explainer, self._data[number], place, pictures=False))
        return stores

    def trainer(self, **arguments: Any) -> Any:
        """A Trainer like the one that was given, which leaves nothing but what is asked for."""
        lean = {"logger": False, "enable_progress_bar": False, "enable_model_summary": False}
        return self._kind(**{**self._given, "enable_checkpointing": False, "callbacks": [], **lean, **arguments})

    def _train(self, number: int, folder: Path) -> None:
        """Train from the last whole epoch on that a run before this one has left."""
        data, last = self._data[number], folder / CHECKPOINTS / f"{LAST}.ckpt"
        folder.mkdir(parents=True, exist_ok=True)
        begun = last.is_file()
        rank_zero_info(
            f"{'continuing' if begun else 'training'} model {number + 1} of {data.folds},"
            f" on {len(data.dataset('train')):,} samples"
        )
        keeping = ModelCheckpoint(
            folder / CHECKPOINTS, LAST, enable_version_counter=False, save_on_train_epoch_end=True, every_n_epochs=1
        )
        with quiet(), seeded(self._seed):
            fitting = self.trainer(
                enable_checkpointing=True, callbacks=[*self._callbacks(), keeping], default_root_dir=str(folder)
            )
            model = copy.deepcopy(self._model).train()
            try:
                with warnings.catch_warnings():
                    warnings.filterwarnings("ignore", "Checkpoint directory .* exists and is not empty")  # as it should
                    fitting.fit(model, datamodule=data, ckpt_path=str(last) if begun else None, weights_only=True)
            except Stopped as stopped:
                raise Stopped(stopped.number, "the same command continues with the last whole epoch") from stopped
        with atomically(folder / WEIGHTS) as out:
            torch.save({"state_dict": {name: value.cpu() for name, value in model.state_dict().items()}}, out)

    def _callbacks(self) -> list[Callback]:
        """Copies of the user's callbacks, but for those that write files or show something."""
        given = self._given.get("callbacks") or []
        shown = (Checkpoint, ProgressBar, ExportWeights)
        chosen = [one for one in (given if isinstance(given, list) else [given]) if not isinstance(one, shown)]
        return [copy.deepcopy(one) for one in chosen if not type(one).__module__.startswith("lit_coiba.cli")]


class FoldVerb:
    """The verb `representativity` of the Trainer."""

    given: Mapping[str, Any]  # arguments that the Trainer was made with

    def representativity(
        self: Any,
        model: Classifier,
        datamodule: BlockDataModule,
        output: str,
        methods: list[Any],
        folds: int = 5,
        images: int | None = None,
        shuffle: bool = True,
        seed: int = 0,
        distance: Distance = "sqrt",
        pairs: bool = False,
    ) -> Representativity:
        """Do models trained on different folds of a dataset explain alike (MeGe), and otherwise where one errs (ReCo)?

        Fel et al., WACV 2022 (arXiv 2009.04521). The training samples are cut into folds; one classifier is trained
        without each, from the same weights and by the same settings; all samples are explained for their true class by
        each model, into a store per model and method; and the maps are compared. The same call again continues: models
        that are trained are not trained again, and a model that was being trained goes on from its last whole epoch.

        Args:
            model: The classifier, as it begins.
            datamodule: The data; its training samples are used.
            output: Folder for the models, the stores, representativity.md and representativity.json.
            methods: Names of methods, with their default arguments; in Python also instances.
            folds: Number of folds, and of models (paper: 5).
            images: Number of training samples to use, evenly spaced; None = all.
            shuffle: Whether samples are dealt to the folds at random; without, folds are contiguous.
            seed: Seed of the folds and of every training.
            distance: Distance of two maps: ``sqrt`` = sqrt(1 - abs(rho)) of Spearman's rho, ``linear``, ``l1``, ``l2``
                or ``ssim``; see `functional.similarity.map_distance`.
            pairs: Whether the distance of every pair is written too, to pairs.parquet.

        Returns:
            MeGe and ReCo of each method, with the numbers of pairs.

        Raises:
            InputError: The folder has models of another run, samples have no label, or there are several devices.
        """
        check_choice(distance, Distance, "distance")
        chosen = chosen_methods(methods)
        if self.world_size > 1:
            raise InputError("representativity trains one model after the other: set trainer.devices to 1")
        if self.max_epochs in (None, -1) and self.max_steps in (None, -1):
            raise InputError("representativity trains each model to its end: set trainer.max_epochs")
        folder = place_of(output, "output", datamodule, lambda found: is_marked(found, VERB))
        check_tables(folder)
        data = [Folds(datamodule, folds, number, seed if shuffle else None, images) for number in range(folds)]
        training = FoldTraining(self, self.given, model, data, folder, seed)
        training.claim()
        with held(folder, "output", VERB):
            models = [training.model(number) for number in range(folds)]
            fold = dict(zip(data[0].dataset("predict").ids, data[0].fold.tolist()))
            found = {
                name: compare(training.explained(models, name, make), fold, distance) for name, make in chosen.items()
            }
            result = summary(found, folds, len(fold), distance)
            result.save(folder, found if pairs else None)
        return result


def chosen_methods(methods: Sequence[str | AttributionMethod]) -> dict[str, Callable[[], AttributionMethod]]:
    """Name -> what makes the method anew, so that nothing of one model is left in it for the next.

    Raises:
        InputError: There is none, one that does not exist, or two of one name.
    """
    if not methods or isinstance(methods, str):
        raise InputError("methods is empty: name one or more, such as GradCAM Saliency")
    found: dict[str, Callable[[], AttributionMethod]] = {}
    make: Callable[[], AttributionMethod]
    for method in methods:
        if isinstance(method, AttributionMethod):
            name = type(method).__name__
            make = partial(type(method), **method.arguments())
        elif isinstance(method, str) and method in attribution.__all__:
            name, make = method, getattr(attribution, method)
        else:
            shown = repr(method) if isinstance(method, str) else a_kind(method)
            raise InputError(f"methods: {printable(shown, 80)} does not exist: lit-coiba methods lists them")
        if name in found or name in FILES:
            raise InputError(f"methods: {name} is there twice: name each method once")
        found[name] = make
    return found


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Within this, all that is random follows from the seed; then it goes on as it was."""
    before = os.environ.get("PL_GLOBAL_SEED")
    try:
        with kept_randomness():
            lightning.seed_everything(seed, verbose=False)
            yield
    finally:
        if before is None:
            os.environ.pop("PL_GLOBAL_SEED", None)
        else:
            os.environ["PL_GLOBAL_SEED"] = before
