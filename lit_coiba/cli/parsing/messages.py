"""One sentence from what jsonargparse, omegaconf and constructors raise: which key, what is wrong, what to do."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from difflib import get_close_matches
from importlib import import_module
from inspect import signature

from omegaconf.errors import InterpolationKeyError, OmegaConfBaseException

from lit_coiba.cli.parsing.config_files import Config
from lit_coiba.core.errors import InputError

_OR_NULL = "- Expected a <class 'NoneType'>"  # the last thing that jsonargparse says about an optional value
_KEY = re.compile(r'Parser key "([^"]+)"')
_CLASS = re.compile(r"given class_path '([^']+)'")
_UNRECOGNIZED = re.compile(r"unrecognized arguments: (\S+)")
_UNKNOWN = re.compile(r"(?:Group '([^']+)' does not accept option|Option) '([^']+)'")
_REQUIRED = re.compile(r"the following arguments are required: (.+)")
_NO_CLASS = re.compile(r"Expected a dot import path string: (\S+)")
_NESTED = re.compile(r"Expected a dot import path string: NestedArg\(key='(\w+)'")
_NOT_FOUND = re.compile(r"given class_path '([^']+)':\s+(No module named .+|module .+ has no attribute .+)")
_NO_SUBCLASS = re.compile(r"Import path (\S+) does not correspond to a subclass of (\w+)")
_EXPECTED = re.compile(r"Expected an? (.+?)(?:\. Got value: (.*))?$", re.MULTILINE)
_GIVEN = re.compile(r"Given value: (.*)")


def parsing_message(error: BaseException, known: list[str], configs: list[Config]) -> str:
    """What to tell the user about an error from the parser.

    Args:
        error: What it raised.
        known: All keys but those of a class that is chosen by the user.
        configs: The config files that were read.
    """
    for cause in _chain(error):
        if isinstance(cause, OmegaConfBaseException):
            return _interpolation(cause, known, configs)
    text = str(error)
    detail = text.partition(_OR_NULL)[0] if _CLASS.search(text) else text
    key = ".".join(_KEY.findall(detail))
    if found := _UNRECOGNIZED.search(text):
        word = found[1].partition("=")[0]
        return _unknown(word[2:], known, configs) if word.startswith("--") else f"{word} is not --KEY VALUE"
    if found := _UNKNOWN.search(detail):
        classes = _CLASS.findall(detail)
        own = _parameters(classes[-1]) if classes else []
        below = [f"{key}.{name}" for name in ("class_path", "init_args", *own)] if classes else []
        name = ".".join(part for part in (key, found[1], found[2]) if part)
        keys = (f": {key} has {', '.join(own)}",) if own else ()
        return _unknown(name, known + below, configs, *keys)
    if found := _REQUIRED.search(detail):
        names = [f"{key}.{name}".lstrip(".") for name in found[1].split(", ")]
        names = [next((below for below in known if below.startswith(f"{name}.")), name) for name in names]
        return f"{' and '.join(f'--{name}' for name in names)} must be given (--help has examples)"
    return _class(text, key) or _value(text, detail, key) or one_line(error)


def instantiation_message(error: BaseException) -> str:
    """What to tell the user about an error from a constructor."""
    return one_line(next((cause for cause in _chain(error) if isinstance(cause, InputError)), error))


def one_line(error: BaseException) -> str:
    """The text of an error without line breaks; of one from a process that reads data, what was raised there.

    Only the drawing of a folder, which a dataset that is not complete shows, keeps its lines.
    """
    text = str(error)
    if "Original Traceback" in text:
        text = text.rpartition(f"{type(error).__name__}: ")[2]
    if "\n|-- " in text:
        return text
    return " ".join(text.split()) or type(error).__name__


def did_you_mean(name: str, known: Sequence[str], otherwise: str = "") -> str:
    """The end of a sentence about an unknown name; of a dotted one, the last part is compared."""
    parent, _, last = name.rpartition(".")
    peers = [other.rpartition(".")[2] for other in known if other.rpartition(".")[0] == parent]
    near = [f"{parent}.{other}".lstrip(".") for other in get_close_matches(last, peers, n=2)]
    near = near or ([] if peers else get_close_matches(name, known, n=1))
    return f": did you mean {' or '.join(near)}?" if near else otherwise


def _unknown(key: str, known: list[str], configs: list[Config], otherwise: str = " (--help lists the keys)") -> str:
    """About the first unknown part of a dotted key; `otherwise` if no known key is similar."""
    parts = key.split(".")
    prefixes = {".".join(name.split(".")[:depth]) for name in known for depth in range(1, name.count(".") + 2)}
    length = next((n for n in range(1, len(parts)) if ".".join(parts[:n]) not in prefixes), len(parts))
    wrong = ".".join(parts[:length])
    if wrong == key and parts[-1] == "class_path":
        return f"{'.'.join(parts[:-1])}: the arguments of a class belong under init_args, beside class_path"
    where = next((f" in {config.name}" for config in configs if config.find(wrong) is not None), "")
    return f"unknown key {wrong}{where}" + did_you_mean(wrong, sorted(prefixes), otherwise)


def _interpolation(error: OmegaConfBaseException, known: list[str], configs: list[Config]) -> str:
    """About a ``${...}`` that leads nowhere."""
    reason = one_line(error).partition(" full_key: ")[0]
    found = re.search(r"resolved to '([^']+)'", reason)
    if isinstance(error, InterpolationKeyError) and found:
        spelt = [re.sub(r"^(data|model\.(?:backbone|method))\.", r"\1.init_args.", name) for name in known]
        return f"{error.full_key} refers to ${{{found[1]}}}, but {found[1]} does not exist" + did_you_mean(
            found[1], spelt
        )
    written = next((value for config in configs if (value := config.find(str(error.full_key))) is not None), "${...}")
    return f"{error.full_key} is {written}, which cannot be resolved ({reason})"


def _class(text: str, key: str) -> str | None:
    """About a class that does not exist, or that is of another kind."""
    if found := _NESTED.search(text):
        return (
            f"{key} names a class and takes no arguments, so --{key}.{found[1]} is not known here: the file of weights"
            " has them, leave it out"
        )
    if found := _NO_CLASS.search(text):
        from lit_coiba import heads, metrics  # here, since listing them imports all

        scoring = [name for name in metrics.__all__ if issubclass(getattr(metrics, name), metrics.Metric)]
        offered = {"metrics": scoring, "head": heads.__all__}
        known: list[str] = next((offered[part] for part in key.split(".") if part in offered), [])
        if found[1] in known:
            return f"{key}: {found[1]} is a class of lit-coiba, which a file names itself: leave --{key} out"
        own = "; give its path, module.Class"
        timm = f", or --{key}.name {found[1]} for a timm model" if key.endswith("backbone") else ""
        return f"{key}: class {found[1]} does not exist" + did_you_mean(found[1], known, own + timm)
    if found := _NOT_FOUND.search(text):
        return f"{key}: {found[1]} cannot be imported ({found[2]})"
    if found := _NO_SUBCLASS.search(text):
        return f"{key}: {found[1]} is not {'an' if found[2][0] in 'AEIOU' else 'a'} {found[2]}"
    return None


def _value(text: str, detail: str, key: str) -> str | None:
    """About a value of the wrong type."""
    expected = list(_EXPECTED.finditer(detail.partition("Given value type:")[0]))
    if not key or not expected:
        return None
    inner = next((match for match in expected if match[2] is not None), None)  # of one type, not of a union
    value = inner[2] if inner else (_GIVEN.search(text) or ["", "of another type"])[1]
    types = [_readable(match[1]) for match in ([inner] if inner else expected)]
    return f"{key} is {value}, but must be {' or '.join(dict.fromkeys(types))}"


def _readable(type_name: str) -> str:
    """How a type is called in YAML."""
    if type_name == "<class 'NoneType'>":
        return "null"
    if found := re.fullmatch(r"typing\.Literal\[(.*)\]", type_name):
        return found[1].replace("'", "").replace(", ", " or ")
    return re.sub(r"<class '(?:[\w.]+\.)?(\w+)'>", r"\1", type_name)


def _parameters(class_path: str) -> list[str]:
    module, _, name = class_path.rpartition(".")
    return list(signature(getattr(import_module(module), name)).parameters)


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    """An error and what it came from."""
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__
