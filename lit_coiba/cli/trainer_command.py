"""A verb that runs the Trainer, by LightningCLI: the parser of one verb, and what is built of the words after it."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from inspect import signature
from pathlib import Path
from typing import Any

from jsonargparse import ArgumentParser, Namespace, set_parsing_settings
from lightning import Callback, LightningModule
from lightning import Trainer as LightningTrainer
from lightning.pytorch.cli import ArgsType, LightningArgumentParser, LightningCLI, SaveConfigCallback

from lit_coiba.attribution import CoIBA
from lit_coiba.backbones import Backbone
from lit_coiba.callbacks.log_progress import LogProgress
from lit_coiba.cli import terminal
from lit_coiba.cli.parsing.any_module import Parser, with_backbone
from lit_coiba.cli.parsing.checkpoints import saved_arguments, saved_module, told_otherwise
from lit_coiba.cli.parsing.classes import BASES, check_short_name, find_class, import_named
from lit_coiba.cli.parsing.config_files import mentions, read_configs
from lit_coiba.cli.parsing.expected_values import KeyArguments, check_values
from lit_coiba.cli.parsing.listed_words import listed_words
from lit_coiba.cli.parsing.messages import instantiation_error, parsing_message
from lit_coiba.cli.parsing.metric_words import metrics_last, show_metric
from lit_coiba.cli.parsing.module_choice import chosen_module
from lit_coiba.cli.verb import TrainerVerb
from lit_coiba.core.class_identity import class_identity
from lit_coiba.core.errors import InputError
from lit_coiba.data.image_folder import ImageFolder
from lit_coiba.data.module import BlockDataModule
from lit_coiba.feature_visualization import MACO
from lit_coiba.files.atomic import atomically, temporary_folder
from lit_coiba.files.owned import begins, check_own_file
from lit_coiba.resources import located
from lit_coiba.trainer import Trainer
from lit_coiba.trainer.processes import together
from lit_coiba.trainer.quiet import without_seed

# Arguments of the Trainer's methods that are no keys, and those that are given here.
LOADERS = frozenset({"model", "datamodule", "dataloaders", "train_dataloaders", "val_dataloaders"})
FILES = (".yaml", ".yml", ".json")  # as values of keys, which may refer to others
FIXED = {"weights_only": True, "return_predictions": False}  # no pickle runs; nothing piles up that nobody would get

set_parsing_settings(
    omegaconf_absolute_to_relative_paths=True,  # else `${...}` fails where a file is parsed below a class
    instantiate_subclass_spec_in_any=False,  # a mapping with class_path inside timm_kwargs stays a mapping
)


class TrainerCommand(LightningCLI):
    """The arguments of one verb, and the model, data and trainer made of them.

    Args:
        verb: The verb.
        args: The words after it.

    Raises:
        InputError: What parsing or building things raised, in one sentence.
    """

    def __init__(self, verb: TrainerVerb, args: list[str]) -> None:
        self.verb = verb
        self._parameters = signature(getattr(Trainer, verb.name)).parameters
        self._checkpoint = saved_module(args) if "ckpt_path" in self._parameters else None
        args, self.module = chosen_module(verb, args, self._checkpoint)
        self._arguments: list[str] = []  # of the Trainer's method
        self._listed: BlockDataModule | None = None
        self._saved: dict[str, Any] = {}  # what the checkpoint says of the model
        defaults: dict[str, Any] = {"enable_model_summary": False}  # Lightning's, of one layer and no FLOPs
        if verb.trains:
            defaults |= {"callbacks": [_Training()]}
        else:
            defaults |= {"logger": False, "enable_checkpointing": False}  # it leaves nothing but its own files
        with without_seed():
            super().__init__(
                self.module,
                BlockDataModule,
                subclass_mode_data=True,
                trainer_class=Trainer,
                trainer_defaults=defaults,
                save_config_callback=_SaveConfig if verb.trains else None,
                seed_everything_default=0,
                parser_class=Parser,
                parser_kwargs={
                    "prog": f"lit-coiba {verb.name}",
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
        fixed = {name: value for name, value in FIXED.items() if name in self._parameters}
        arguments = {name: self.config_init[name] for name in self._arguments}
        with warnings.catch_warnings():
            for about_the_checkpoint_callback in ("Be aware that when using `ckpt_path`", "The dirpath has changed"):
                warnings.filterwarnings("ignore", about_the_checkpoint_callback)
            method = getattr(self.trainer, self.verb.name)
            with together(self.trainer):
                return method(model=self.model, datamodule=self.datamodule, **arguments, **fixed)

    def add_arguments_to_parser(self, parser: LightningArgumentParser) -> None:
        """The arguments of the Trainer's method."""
        self._arguments = parser.add_method_arguments(Trainer, self.verb.name, skip=LOADERS | FIXED.keys())

    def add_core_arguments_to_parser(self, parser: LightningArgumentParser) -> None:
        """The arguments of trainer, model and data; a verb that needs no data must not be asked for them."""
        if not self.verb.needs_data:
            self.datamodule_class = None  # by which Lightning tells whether they are required
        super().add_core_arguments_to_parser(parser)

    def parse_arguments(self, parser: LightningArgumentParser, args: ArgsType) -> None:
        """Parse the command line and all its files."""
        assert isinstance(args, list)
        for name, parameter in self._parameters.items():
            if str(parameter.annotation).startswith("list"):
                args = listed_words(args, f"--{name}")
        show_metric(args)
        words, configs, classes = read_configs(metrics_last(args), self._defaults(args))
        import_named(args, configs)
        for key in BASES:
            check_short_name(key, classes.get(key))
        arguments = self._arguments_of_keys(classes)
        if not any("${" in word or word.endswith(FILES) for word in words):
            parser.parser_mode = "yaml"  # the same where nothing is referred to, without half a second for omegaconf
        try:
            self.config = parser.parse_args(words)
        except Exception as error:
            known = list(dict.fromkeys([*parser.get_defaults().keys(), *arguments.all()]))
            raise InputError(parsing_message(error, known, configs, arguments)) from error
        check_values(self.config, arguments)
        _refuse_empty(self.config)
        if otherwise := told_otherwise(self._saved, self.config.model):
            terminal.warn(
                "the command differs from the checkpoint, whose weights may mean something else then:"
                f" {'; '.join(otherwise[:4])}"
            )

    def before_instantiate_classes(self) -> None:
        """Find weights that come with the package, and the number of classes where the data have it.

        That number is no linked argument of jsonargparse's, because it could then not be given by hand.
        """
        arguments = self.config.model.backbone.get("init_args") or Namespace()  # of the user's own function: any
        if arguments.get("checkpoint") is not None:
            arguments.checkpoint = located(arguments.checkpoint)
        for key in ("weights", "teacher.init_args.weights", "teacher.init_args.backbone.init_args.checkpoint"):
            if given := self.config.model.get(key):
                self.config.model[key] = located(given)
        self._warn_of_random_weights(arguments)
        labelled = self.verb.labelled and getattr(self.module, "uses_labels", True)
        if labelled and arguments.get("num_classes", 0) is None:
            only_data = ArgumentParser()
            only_data.add_subclass_arguments(BlockDataModule, "data")
            with _one_sentence():
                self._listed = only_data.instantiate(Namespace(data=self.config.data)).data
            arguments.num_classes = self._listed.num_classes

    def instantiate_classes(self) -> None:
        """Build data, model and trainer."""
        with _one_sentence():
            module = self.module
            self.config_init = self.parser.instantiate(self.config, instantiators=[(with_backbone, module, False)])
        listed = self._listed is not None  # and it has looked through its files already
        self.datamodule = self._listed if listed else self.config_init.get("data")
        self.model = self.config_init.model
        with _one_sentence("trainer: "):  # whose errors do not say what they are about
            self.trainer = self.instantiate_trainer()
        bar = self.trainer.progress_bar_callback
        given: list[Callback] = self.config_init.trainer.get("callbacks") or []
        if bar is not None and bar not in given and not sys.stderr.isatty():
            callbacks: list[Callback] = self.trainer.callbacks  # type: ignore[attr-defined]
            callbacks[callbacks.index(bar)] = LogProgress()

    def _warn_of_random_weights(self, arguments: Namespace) -> None:
        """Say so where neither the backbone's `arguments` nor other keys bring weights that nothing will train."""
        if not {"checkpoint", "pretrained"} <= set(arguments.keys()):
            return  # the user's own function
        given = arguments.checkpoint or arguments.pretrained or self.config.model.get("weights")
        given = given or self.config.get("ckpt_path")
        if given:
            return
        if self.verb.trains and self.config.model.get("frozen"):
            terminal.warn("no checkpoint given: the frozen backbone has random weights, and keeps them")
        elif not self.verb.trains:
            terminal.warn("no checkpoint given: the model has random weights")

    def _arguments_of_keys(self, classes: Mapping[str, str]) -> KeyArguments:
        """What keys stand for: arguments of the verb, of Lightning's Trainer, and of the classes that are chosen."""
        module = self.module
        components: dict[str, Any] = {
            "": getattr(Trainer, self.verb.name),
            "trainer": LightningTrainer,
            "model": module,
            "model.backbone": Backbone,
        }
        named = {"data": ImageFolder.__name__} | dict(classes)
        for argument, kind in (("method", CoIBA), ("visualizer", MACO)):
            if argument in signature(module).parameters:
                named = {f"model.{argument}": kind.__name__} | named
        for key, name in sorted(named.items()):  # a key before those below it
            known = {"data", *KeyArguments(components).all()}
            if (key in known or key.startswith("model.metrics.")) and (found := find_class(name)) is not None:
                components[key] = found
        return KeyArguments(components)

    def _defaults(self, args: list[str]) -> dict[str, Any]:
        """What a config file would say that comes before those of the user."""
        model = dict(self.verb.defaults)
        if "ckpt_path" in self._parameters:
            known = signature(self.module).parameters
            saved = saved_arguments(self._checkpoint, args, self.verb.trains, self.module)
            self._saved = {name: value for name, value in saved.items() if name in known}
            model |= self._saved
        if not self.verb.trains:
            model.pop("teacher", None)
        data = {"class_path": ImageFolder.__name__}
        return {"data": data, "model": model} if self.verb.needs_data or mentions(args, "data") else {"model": model}


class _SaveConfig(SaveConfigCallback):
    """Writes ``config.yaml`` beside the logs of a fit, also when a fit is continued in the same folder."""

    def setup(self, trainer: LightningTrainer, pl_module: LightningModule, stage: str) -> None:
        """Write it, on the first process."""
        folder = trainer.log_dir  # asked for on every process: Lightning broadcasts it
        if folder is not None and trainer.is_global_zero:
            file = Path(folder) / self.config_filename
            check_own_file(file, "config", begins("# lightning.pytorch=="))
            file.parent.mkdir(parents=True, exist_ok=True)
            with temporary_folder(file) as aside:
                self.parser.save(self.config, aside / file.name, overwrite=True, multifile=False)
                content = _with_class((aside / file.name).read_bytes(), type(pl_module))
            with atomically(file) as out:
                out.write(content)


def _with_class(config: bytes, module: type) -> bytes:
    """A saved configuration that names the class of its model, so that it trains the same again."""
    name = class_identity(module)
    return config.replace(b"\nmodel:\n", f"\nmodel:\n  class_path: {name}\n".encode(), 1)


class _Training(Callback):
    """Says what is trained, and so where there are no validation images."""

    def on_train_start(self, trainer: LightningTrainer, pl_module: LightningModule) -> None:
        """Once, on the first process; validation that the user switched off is no news."""
        if not trainer.is_global_zero:
            return
        sizes = [(parameter.numel(), parameter.requires_grad) for parameter in pl_module.parameters()]
        trained = sum(size for size, learns in sizes if learns)
        terminal.remark(f"training {trained:,} of {sum(size for size, _ in sizes):,} parameters")
        if trainer.val_dataloaders == []:
            measure = getattr(pl_module, "watched", "val/accuracy")
            terminal.warn(f"the data have no validation images, so the fit goes without {measure}")


def _refuse_empty(config: Any, key: str = "") -> None:
    """Refuse an empty text in a config file, as an unset variable leaves it; a logger may have an empty name.

    Raises:
        InputError: There is one.
    """
    values = (
        config.items() if isinstance(config, dict) else vars(config).items() if isinstance(config, Namespace) else ()
    )
    for name, value in values:
        where = f"{key}.{name}".lstrip(".")
        if value == "" and not where.startswith("trainer.logger"):
            raise InputError(f"{where} is empty: give a value, or leave it out")
        if name != "trainer":
            _refuse_empty(value, where)


@contextmanager
def _one_sentence(about: str = "") -> Iterator[None]:
    """Whatever constructors raise, as a sentence to the user."""
    try:
        yield
    except Exception as error:
        raise instantiation_error(error, about) from error
