"""Explanations of the same few images while a model trains: does it look at the object, and since which epoch?"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Literal, NamedTuple

import torch
from lightning import Callback, LightningModule, Trainer
from lightning.pytorch.strategies import DDPStrategy, DeepSpeedStrategy, SingleDeviceStrategy
from torch import Tensor

from lit_coiba.backbones import Backbone
from lit_coiba.callbacks.probe_explainer import Found, Key, Part, ProbeExplainer, network_of, rank_correlation
from lit_coiba.callbacks.probe_set import PassingImages, ProbeSet
from lit_coiba.callbacks.probe_store import recorded, write_probe_store
from lit_coiba.callbacks.unwritable import unwritable_is_a_warning
from lit_coiba.core.errors import InputError, check_count
from lit_coiba.core.frozen import kept_randomness, preserve_state
from lit_coiba.core.method import AttributionMethod
from lit_coiba.core.preprocessing import Preprocessing
from lit_coiba.core.targets import Target, parse_target
from lit_coiba.files.given_path import given_path
from lit_coiba.metrics import Deletion, Insertion
from lit_coiba.metrics.metric import Metric
from lit_coiba.pictures.card import card_of_pixels, cards_picture
from lit_coiba.pictures.names import Names
from lit_coiba.store import Row

USUAL = {"insertion": Insertion, "deletion": Deletion}
STEPS = 14  # of their curves: ours, 15 forwards for each image


class Moment(NamedTuple):
    """What was found when the probe set was explained once."""

    epoch: int  # number of the epoch, from 0
    step: int  # of the optimizer, that have been taken
    metric: float  # mean over the explanations; NaN = none
    rank_correlation: float  # of the maps with those of the time before, mean over the explanations; NaN = none


class ExplainCallback(Callback):
    """Explains the same few images again and again while any LightningModule trains an image classifier.

    The loggers get ``TAG/insertion`` or whatever the metric is called, and ``TAG/rank correlation``: Spearman's, of
    each map with that of the time before, mean over the images; 1 = no drift. Those that take pictures get
    ``TAG/maps``: image, map and overlay of each, with class and probability. The steps are those of the optimizer.
    `moments` has the numbers in Python.

    It looks before the first step, if the images are known by then, and then every so many epochs or steps. The
    training is what it would be without: weights, gradients, states of the optimizer, running statistics, random
    states, modes and hooks stay as they are, bit by bit. Of several processes the first one explains, and the others
    wait for it at the next step. A method that needs activation statistics is prepared anew each time, on
    `statistics_images` of the validation, or on the images that are given; a leak test chooses its layers the first
    time.

    Args:
        method: The attribution method.
        images: The images: a number, the first so many that the validation yields; model input ``(n, 3, H, W)``; a
            loader, all batches of it; or a list of files or pictures.
        every_n_epochs: Number of epochs from one look to the next; None = only steps count.
        every_n_steps: Number of the optimizer's steps from one look to the next; None = only epochs count.
        targets: What to explain: ``predicted``, ``label``, the number or the name of a class; or a `Target`.
        metric: A metric of the maps, one that needs no more than them and the model; ``insertion`` and ``deletion``
            stand for those of RISE in 14 steps; None = none.
        stores: Folder that gets a store for each look, ``epoch_0003_step_00000128``, for `lit-coiba`. A fit that goes
            on finds those that are complete; a fit of other weights replaces them. None = no stores.
        module: The part of the LightningModule that maps images to logits: the name of an attribute, such as
            ``model.net``, or a function that finds it. None = its `network` if that is a `Backbone`, else itself.
        statistics_images: Number of the validation's images that statistics are estimated on, at most.
        tag: First part of the names in the logs; callbacks of one Trainer need different ones.

    Raises:
        InputError: A number is out of range, neither epochs nor steps are given, or the metric needs what is not known.
    """

    moments: list[Moment]  # so far, in this process

    def __init__(
        self,
        method: AttributionMethod,
        images: Any = 8,
        every_n_epochs: int | None = 1,
        every_n_steps: int | None = None,
        targets: Target | str | int = "predicted",
        metric: Metric | Literal["insertion", "deletion"] | None = "insertion",
        stores: str | None = None,
        module: Part | None = None,
        statistics_images: int = 64,
        tag: str = "explain",
    ) -> None:
        given = {"every_n_epochs": every_n_epochs, "every_n_steps": every_n_steps}
        check_count(**{name: value for name, value in given.items() if value is not None})
        if every_n_epochs is None and every_n_steps is None:
            raise InputError("every_n_epochs and every_n_steps are both null: give one of them")
        if not isinstance(method, AttributionMethod):
            raise InputError("method is no attribution method: give one, such as lit_coiba.attribution.GradCAM()")
        if isinstance(images, int):
            check_count(images=images)
        check_count(2, statistics_images=statistics_images)
        if isinstance(metric, str) and metric not in USUAL:
            raise InputError(f"metric is {metric!r}: give {' or '.join(USUAL)}, a Metric, or null")
        self.method, self.images, self.targets, self.metric = method, images, targets, metric
        self.every_n_epochs, self.every_n_steps = every_n_epochs, every_n_steps
        self.module, self.stores, self.statistics_images, self.tag = module, stores, statistics_images, tag
        self.moments = []
        self._target = parse_target(targets)
        measured = USUAL[metric](steps=STEPS) if isinstance(metric, str) else metric
        self._explainer = ProbeExplainer(method, self._target, measured)
        count = images if isinstance(images, int) else 0
        wanted = max(count, statistics_images) if count and "statistics" in method.card.needs else count
        self._passing = PassingImages(wanted)
        self._given: ProbeSet | None = None
        self._network: Backbone | None = None
        self._maps: dict[Key, Tensor] = {}  # of the time before
        self._step = -1  # at which they were made

    @property
    def state_key(self) -> str:
        """Name of its state in checkpoints; see Lightning."""
        return f"{type(self).__name__}[{self.tag}]"

    def state_dict(self) -> dict[str, Any]:
        """The maps of the last time, so that drift goes on where a fit does."""
        return {"step": self._step, "keys": list(self._maps), "maps": list(self._maps.values())}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take up the maps of the last time."""
        self._maps = {(str(name), int(rank)): map for (name, rank), map in zip(state_dict["keys"], state_dict["maps"])}
        self._step = int(state_dict["step"])

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Look at what can be known before anything is trained.

        Raises:
            InputError: There is no validation to take images from, or every process has only a part of the weights.
        """
        whole = isinstance(trainer.strategy, SingleDeviceStrategy | DDPStrategy)
        if not whole or isinstance(trainer.strategy, DeepSpeedStrategy):
            raise InputError(
                f"ExplainCallback explains on one process, and with {type(trainer.strategy).__name__} each has only a"
                " part of the weights: leave the callback out, or train with strategy ddp"
            )
        if self._passing.count and not trainer.enable_validation:
            raise InputError(
                "images is a number of the validation's images, but the fit has no validation: give the images"
                " themselves, or a validation loader"
            )

    def on_validation_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """The first images come next."""
        self._passing.begin()

    def on_validation_batch_start(
        self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int, dataloader_idx: int = 0
    ) -> None:
        """Keep the first images."""
        if trainer.state.fn == "fit" and trainer.is_global_zero and dataloader_idx == 0:
            self._passing.add(batch)

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Be content with the images that there are, if they are as many as are explained.

        Raises:
            InputError: They are fewer.
        """
        whole = not trainer.sanity_checking or trainer.num_sanity_val_batches == trainer.num_val_batches
        if trainer.state.fn != "fit" or not trainer.is_global_zero or not whole or self._passing.complete:
            return
        found = len(self._passing)
        if found < self.images:
            raise InputError(
                f"images is {self.images}, but the validation has {found} on the first process: give {max(found, 1)} or"
                " less, or the images themselves"
            )
        self._passing.count = found

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Look before the first step, so that what is wrong is said at once; not where a fit goes on."""
        if trainer.global_step == 0:
            self._look(trainer, pl_module)

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Look every so many steps."""
        if self.every_n_steps is not None and trainer.global_step % self.every_n_steps == 0:
            self._look(trainer, pl_module)

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Look every so many epochs."""
        if self.every_n_epochs is not None and (trainer.current_epoch + 1) % self.every_n_epochs == 0:
            self._look(trainer, pl_module)

    def _look(self, trainer: Any, pl_module: LightningModule) -> None:
        """Explain, measure, log and store, on the first process; once for a step."""
        if not trainer.is_global_zero or trainer.global_step == self._step:
            return
        with _untouched(pl_module), warnings.catch_warnings(), trainer.precision_plugin.forward_context():
            if self.moments:
                warnings.simplefilter("ignore")  # what a look at the network has to say, it has said
            if (sample := self._sample(pl_module)) is None:
                return
            probe = sample.first(self.images) if isinstance(self.images, int) else sample
            network = self._found(pl_module, probe)
            here, seen = (_moved(one, trainer, pl_module) for one in (probe, sample))
            names = getattr(pl_module, "class_names", None) or network.class_names
            found = self._explainer(network, here, seen, names)
            maps = found.maps()
            moment = Moment(trainer.current_epoch, trainer.global_step, found.score, rank_correlation(self._maps, maps))
            self._maps, self._step = maps, moment.step
            self.moments.append(moment)
            with unwritable_is_a_warning(f"{self.tag}: the log of step {moment.step}"):
                self._log(trainer, moment, network, probe, found, names)
            if self.stores is not None:
                folder = given_path(self.stores, "stores") / f"epoch_{moment.epoch:04}_step_{moment.step:08}"
                with unwritable_is_a_warning(folder):
                    precision, told = str(trainer.precision), recorded(network, names, moment.epoch, moment.step)
                    write_probe_store(folder, network, self.method, self._target, precision, probe, found, told)

    def _sample(self, pl_module: LightningModule) -> ProbeSet | None:
        """The images that are kept, those to explain first; None = the validation has not come to them."""
        if isinstance(self.images, int):
            return self._passing.all() if self._passing.complete else None
        if self._given is None:
            own = getattr(pl_module, "preprocessing", None)
            self._given = ProbeSet.of(self.images, own if isinstance(own, Preprocessing) else Preprocessing())
        return self._given

    def _found(self, pl_module: LightningModule, probe: ProbeSet) -> Backbone:
        if self._network is None:
            self._network = network_of(pl_module, self.module, (probe.images.shape[-2], probe.images.shape[-1]))
        return self._network

    def _log(
        self,
        trainer: Any,
        moment: Moment,
        network: Backbone,
        probe: ProbeSet,
        found: Found,
        class_names: list[str] | None,
    ) -> None:
        numbers = {"rank correlation": moment.rank_correlation}
        if self.metric is not None:
            numbers[self.metric if isinstance(self.metric, str) else type(self.metric).__name__] = moment.metric
        told = {f"{self.tag}/{name}": value for name, value in numbers.items() if value == value}
        picture = None
        for logger in trainer.loggers:
            if told:
                logger.log_metrics(told, moment.step)
            add = getattr(getattr(logger, "experiment", None), "add_image", None)
            if add is not None and found.record.ids:
                picture = _picture(network, probe, found, class_names) if picture is None else picture
                add(f"{self.tag}/maps", picture, moment.step)


def _picture(network: Backbone, probe: ProbeSet, found: Found, class_names: list[str] | None) -> Tensor:
    """Image, map and overlay of each explanation, ``(3, H, W)`` uint8."""
    record, cards = found.record, []
    names = Names(class_names or (), class_names or ())
    for row, (name, map) in enumerate(zip(record.ids, found.shown())):
        pixels = (network.denormalize(probe.images[int(name)]).float().clamp(0, 1) * 255).round().to(torch.uint8)
        extras = {key: values[row] for key, values in record.extras.items()}
        label, target, probability = int(record.labels[row]), int(record.targets[row]), float(record.probabilities[row])
        cards.append(card_of_pixels(Row(name, label, target, probability, map, extras), pixels))
    return cards_picture(cards, names, always="predicted" not in record.extras)


def _moved(probe: ProbeSet, trainer: Any, pl_module: LightningModule) -> ProbeSet:
    """The images on the device of the module, and of its precision; labels in the order of its classes."""
    images = trainer.precision_plugin.convert_input(probe.images.to(pl_module.device))
    labels, own = probe.labels.to(pl_module.device), getattr(pl_module, "in_own_order", None)
    return ProbeSet(images, labels if own is None else torch.where(labels < 0, labels, own(labels.clamp_min(0))))


@contextmanager
def _untouched(module: LightningModule) -> Iterator[None]:
    """`preserve_state`, and what explaining has no reason to change: buffers, and the generator of an accelerator."""
    buffers = [(buffer, buffer.detach().clone()) for buffer in module.buffers()]
    try:
        with preserve_state(module), kept_randomness(module.device):
            yield
    finally:
        with torch.no_grad():
            for buffer, kept in buffers:
                if not torch.equal(buffer, kept):
                    buffer.copy_(kept)
