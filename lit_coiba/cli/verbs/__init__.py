"""One file a verb: its object says what it is called, how it is run, and what help says of it."""

from importlib import import_module
from pkgutil import iter_modules

from lit_coiba.cli.verb import Verb


def all_verbs() -> dict[str, Verb]:
    """Every verb that a file of this package defines, by name, in the order of the overview."""
    modules = [import_module(f"{__name__}.{file.name}") for file in iter_modules(__path__)]
    found = [value for module in modules for value in vars(module).values() if isinstance(value, Verb)]
    return {verb.name: verb for verb in sorted(found, key=lambda verb: (verb.position, verb.name))}
