"""The verbs that run a Trainer, by LightningCLI. Each is a parser of its own, built when it is asked for."""

from __future__ import annotations

import json
import pickle
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from inspect import isabstract, signature
from pathlib import Path
from typing import Any

import torch
from jsonargparse import ArgumentParser, Namespace, set_parsing_settings
from lightning import Callback, LightningModule
from lightning import Trainer as LightningTrainer
from lightning.pytorch.cli import ArgsType, LightningArgumentParser, LightningCLI, SaveConfigCallback

import lit_coiba.data.synthetic_parts  # noqa: F401 - a class is known by its short name once it is imported
from lit_coiba.attribution import CoIBA
from lit_coiba.backbones import Backbone
from lit_coiba.cli.parsing.config_files import read_configs
from lit_coiba.cli.parsing.messages import did_you_mean, instantiation_message, parsing_message
from lit_coiba.core.errors import InputError
from lit_coiba.core.method import AttributionMethod
from lit_coiba.data.image_folder import ImageFolder
from lit_coiba.data.module import BlockDataModule
from lit_coiba.modules.explainer import Explainer
from lit_coiba.modules.prototype_search import PrototypeSearch
from lit_coiba.modules.scorer import Scorer
from lit_coiba.resources import resource
from lit_coiba.trainer import Trainer
from lit_coiba.training.classifier import Classifier
from lit_coiba.training.saved_arguments import classifier_arguments

MODULES: dict[str, type[LightningModule]] = {
    "fit": Classifier,
    "validate": Classifier,
    "test": Classifier,
    "predict": Classifier,
    "statistics": Explainer,
    "explain": Explainer,
    "benchmark": Scorer,
    "prototypes": PrototypeSearch,
}
BASES = {"data": BlockDataModule, "model.method": AttributionMethod}  # key -> what its class must be
# Arguments of the Trainer's methods that are no keys, and those that are given here.
LOADERS = frozenset({"model", "datamodule", "dataloaders", "train_dataloaders", "val_dataloaders"})
FIXED = {"weights_only": True, "return_predictions": False}  # no pickle runs; nothing piles up that nobody would get

set_parsing_settings(
    omegaconf_absolute_to_relative_paths=True,  # else `${...}` fails where a file is parsed below a class
    instantiate_subclass_spec_in_any=False,  # a mapping with class_path inside timm_kwargs stays a mapping
)


class VerbCLI(LightningCLI):
    """The arguments of one verb, and the model, data and trainer made of them.

    Args:
        verb: The Trainer's method.
        args: The words after it.

    Raises:
        InputError: What parsing or building things raised, in one sentence.
    """

    def __init__(self, verb: str, args: list[str]) -> None:
        self.verb = verb
        self._arguments: list[str] = []  # of the Trainer's method
        self._listed: BlockDataModule | None = None
        leaves_nothing = ("logger", "enable_checkpointing", "enable_model_summary")  # but its own files
        super().__init__(
            MODULES[verb],
            BlockDataModule,
            subclass_mode_data=True,
            trainer_class=Trainer,
            trainer_defaults={"callbacks": [_Unvalidated()]} if verb == "fit" else dict.fromkeys(leaves_nothing, False),
            save_config_callback=_SaveConfig if verb == "fit" else None,
            seed_everything_default=0,
            parser_kwargs={
                "prog": f"lit-coiba {verb}",
                "parser_mode": "omegaconf+",
                "exit_on_error": False,
                "allow_abbrev": False,  # --trainer.max_epoch is a mistake, not max_epochs
            },
            auto_configure_optimizers=False,
            load_from_checkpoint_support=False,  # the modules save their arguments themselves, as plain values
            args=args,
            run=False,
        )

    def execute(self) -> Any:
        """Do what the verb says; what the Trainer's method returns."""
        method = getattr(self.trainer, self.verb)
        fixed = {name: value for name, value in FIXED.items() if name in signature(method).parameters}
        arguments = {name: self.config_init[name] for name in self._arguments}
        with warnings.catch_warnings():
            for about_the_checkpoint_callback in ("Be aware that when using `ckpt_path`", "The dirpath has changed"):
                warnings.filterwarnings("ignore", about_the_checkpoint_callback)
            return method(model=self.model, datamodule=self.datamodule, **arguments, **fixed)

    def add_arguments_to_parser(self, parser: LightningArgumentParser) -> None:
        """The arguments of the Trainer's method."""
        self._arguments = parser.add_method_arguments(Trainer, self.verb, skip=LOADERS | FIXED.keys())

    def parse_arguments(self, parser: LightningArgumentParser, args: ArgsType) -> None:
        """Parse the command line and all its files."""
        assert isinstance(args, list)
        args = _listed(args, "--stores")
        words, configs, classes = read_configs(args, self._defaults(args))
        for key, base in BASES.items():
            _check_short_name(key, classes.get(key), base)
        try:
            self.config = parser.parse_args(words)
        except Exception as error:
            raise InputError(parsing_message(error, self._keys(parser), configs)) from error

    def before_instantiate_classes(self) -> None:
        """Find weights that come with the package, and the number of classes where the data tell it.

        That number is no linked argument of jsonargparse's, because it could then not be given by hand.
        """
        arguments = self.config.model.backbone.get("init_args") or Namespace()  # of a function of the user's: any
        if "checkpoint" in arguments:
            arguments.checkpoint = _located(arguments.checkpoint)
        if MODULES[self.verb] is not Classifier:
            self.config.model.weights = _located(self.config.model.weights)
            if {"checkpoint", "pretrained"} <= set(arguments.keys()):
                given = self.config.model.weights or arguments.checkpoint or arguments.pretrained
                if not given:
                    _warn("no weights are given, so the model's are random")
            return
        if self.verb == "fit" and self.config.model.frozen and {"checkpoint", "pretrained"} <= set(arguments.keys()):
            given = arguments.checkpoint or arguments.pretrained or self.config.ckpt_path
            if not given:
                _warn("no weights are given, so those of the frozen backbone are random, and they stay so")
        for key in ("teacher.init_args.weights", "teacher.init_args.backbone.init_args.checkpoint"):
            if given := self.config.model.get(key):
                self.config.model[key] = _located(given)
        if self.verb != "predict" and arguments.get("num_classes", 0) is None:
            only_data = ArgumentParser()
            only_data.add_subclass_arguments(BlockDataModule, "data")
            with _one_sentence():
                self._listed = only_data.instantiate(Namespace(data=self.config.data)).data
            arguments.num_classes = self._listed.num_classes

    def instantiate_classes(self) -> None:
        """Build data, model and trainer."""
        with _one_sentence():
            self.config_init = self.parser.instantiate(self.config)
        listed = self._listed is not None  # and it has looked through its files already
        self.datamodule = self._listed if listed else self.config_init.data
        self.model = self.config_init.model
        with _one_sentence("trainer: "):  # whose errors do not say what they are about
            self.trainer = self.instantiate_trainer()

    def _keys(self, parser: LightningArgumentParser) -> list[str]:
        """The keys there are, those of the classes that are the default included."""
        keys = list(parser.get_defaults().keys())
        for key, default in (("data", ImageFolder), ("model.backbone", Backbone), ("model.method", CoIBA)):
            if key in keys:
                keys += [f"{key}.{name}" for name in signature(default).parameters]
        return keys

    def _defaults(self, args: list[str]) -> dict[str, Any]:
        """What a config file would say that comes before those of the user."""
        module = MODULES[self.verb]
        model = _saved_arguments(args) if module is Classifier else {}
        if self.verb != "fit":
            model.pop("teacher", None)
        if module is Explainer:
            model = {"method": {"class_path": CoIBA.__name__}}
        return {"data": {"class_path": ImageFolder.__name__}, "model": model}


class _SaveConfig(SaveConfigCallback):
    """Writes ``config.yaml`` beside the logs of a fit, also when a fit is continued in the same folder."""

    def setup(self, trainer: LightningTrainer, pl_module: LightningModule, stage: str) -> None:
        """Write it, on the first process."""
        folder = trainer.log_dir  # asked for on every process: Lightning broadcasts it
        if folder is not None and trainer.is_global_zero:
            Path(folder).mkdir(parents=True, exist_ok=True)
            self.parser.save(self.config, Path(folder) / self.config_filename, overwrite=True, multifile=False)


class _Unvalidated(Callback):
    """Says so where there are no validation images."""

    def on_train_start(self, trainer: LightningTrainer, pl_module: LightningModule) -> None:
        """Once, on the first process; validation that the user switched off is no news."""
        if trainer.is_global_zero and trainer.val_dataloaders == []:
            _warn("the data have no validation images, so the fit goes without val/accuracy")


def _warn(about: str) -> None:
    print(f"lit-coiba: warning: {about}", file=sys.stderr)


def short_names(base: type) -> list[str]:
    """Classes that can be chosen by their short name."""
    children: list[type] = base.__subclasses__()
    below = {name for child in children for name in short_names(child)}
    return sorted(below | {child.__name__ for child in children if not isabstract(child)})


def _check_short_name(key: str, name: str | None, base: type) -> None:
    """Refuse the name of a class that is neither a path nor known."""
    known = short_names(base)
    if name is not None and name.isidentifier() and name not in known:
        otherwise = f"; there are {', '.join(known)}"
        raise InputError(f"{key}: there is no class {name}{did_you_mean(name, known, otherwise)}")


def _listed(args: list[str], option: str) -> list[str]:
    """The words with those that follow `option` as one list, as YAML writes it."""
    if option not in args:
        return args
    start = args.index(option) + 1
    end = next((k for k, word in enumerate(args) if k >= start and word.startswith("-")), len(args))
    if end == start or args[start].startswith("["):
        return args
    return [*args[:start], json.dumps(args[start:end]), *args[end:]]


def _located(weights: str | None) -> str | None:
    """A file of the user, or else one that comes with the package."""
    if weights is not None and weights.startswith("checkpoints/") and not Path(weights).exists():
        with suppress(FileNotFoundError):
            return str(resource(weights))
    return weights


@contextmanager
def _one_sentence(about: str = "") -> Iterator[None]:
    """Whatever constructors raise, as a sentence to the user."""
    try:
        yield
    except Exception as error:
        raise InputError(about + instantiation_message(error)) from error


def _saved_arguments(args: list[str]) -> dict[str, Any]:
    """The model's arguments that the checkpoint of ``--ckpt_path`` holds, so that they need not be given again."""
    given = [word.partition("=") for word in args]
    names = [name or following for (key, _, name), following in zip(given, [*args[1:], ""]) if key == "--ckpt_path"]
    if not names or names[-1] in ("last", "best", "hpc"):
        return {}
    path = Path(names[-1])
    if not path.is_file():
        raise InputError(f"--ckpt_path {path} does not exist")
    try:
        checkpoint = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise InputError(
            f"--ckpt_path {path} is no plain checkpoint, and loading it could run code: it was refused"
        ) from error
    except (RuntimeError, EOFError, OSError, ValueError, KeyError) as error:
        raise InputError(f"--ckpt_path {path} cannot be read ({error}): is the file complete?") from error
    told = checkpoint.get("hyper_parameters") if isinstance(checkpoint, dict) else None
    arguments = classifier_arguments(told, str(path)) if isinstance(told, dict) else {}
    if isinstance(head := arguments.get("head"), dict):
        own = {name: value for name, value in head.items() if name not in ("class", "in_channels", "num_classes")}
        arguments["head"] = {"class_path": f"lit_coiba.heads.{head.get('class')}", "init_args": own}
    return arguments
