"""One sentence from what jsonargparse, omegaconf and constructors raise: which key, what is wrong, what to do."""

from __future__ import annotations

import re
import sysconfig
import traceback
from collections.abc import Iterator
from importlib import import_module
from inspect import signature
from typing import TYPE_CHECKING

from lit_coiba.cli.parsing.config_files import Config
from lit_coiba.cli.parsing.expected_values import KeyArguments
from lit_coiba.cli.parsing.quick_check import PACKAGE
from lit_coiba.core.errors import InputError
from lit_coiba.core.near_names import did_you_mean
from lit_coiba.core.printable import listed, printable, sentence

if TYPE_CHECKING:
    from omegaconf.errors import OmegaConfBaseException

_VALUE = 60  # characters of a value
_TYPES = {
    "int": "an integer",
    "float": "a number",
    "bool": "true or false",
    "str": "text",
    "NoneType": "null",
    "dict": 'a mapping, such as "{name: value}"',
    "list": 'a list, such as "[a, b]"',
    "tuple": 'a list, such as "[a, b]"',
}
_OR_NULL = "- Expected a <class 'NoneType'>"  # the last thing that jsonargparse says about an optional value
_KEY = re.compile(r'Parser key "([^"]+)"')
_CLASS = re.compile(r"given class_path '([^']+)'")
_UNRECOGNIZED = re.compile(r"unrecognized arguments: (\S+)")
_UNKNOWN = re.compile(r"(?:Group '([^']+)' does not accept option|Option) '([^']+)'")
_REQUIRED = re.compile(r"the following arguments are required: (.+)")
_UNTYPED = re.compile(r"Parameter '(\w+)' from '([^']+)' does not specify a type")
_NO_PATH = re.compile(r"Unexpected import path format: (.+)")
_ELSEWHERE = {"model.weights": "ckpt_path"}  # a key of some verbs -> what others have in its place
_NO_CLASS = re.compile(r"Expected a dot import path string: (\S+)")
_NESTED = re.compile(r"Expected a dot import path string: NestedArg\(key='(\w+)'")
_KEY_OF_A_METRIC = re.compile(r"Given value: NestedArg\(key='([^'.]+)\.")
_NOT_FOUND = re.compile(r"given class_path '([^']+)':\s+(No module named .+|module .+ has no attribute .+)")
_NO_SUBCLASS = re.compile(r"Import path (\S+) does not correspond to a subclass of (\w+)")
_EXPECTED = re.compile(r"Expected an? (.+?)(?:\. Got value: (.*))?$", re.MULTILINE)
_NO_VALUE = re.compile(r"argument (--\S+): expected one argument")
_GIVEN = re.compile(r"Given value: (.*)")


def parsing_message(error: BaseException, known: list[str], configs: list[Config], arguments: KeyArguments) -> str:
    """What to tell the user about an error from the parser.

    Args:
        error: What it raised.
        known: All keys.
        configs: The config files that were read.
        arguments: What keys stand for.
    """
    from omegaconf.errors import OmegaConfBaseException  # takes half a second, which only errors have to wait for

    for cause in _chain(error):
        if isinstance(cause, OmegaConfBaseException):
            return _interpolation(cause, known, configs)
    text = str(error)
    detail = text.partition(_OR_NULL)[0] if _CLASS.search(text) else text
    key = ".".join(_KEY.findall(detail))
    if found := _UNRECOGNIZED.search(text):
        word = found[1].partition("=")[0]
        if word.startswith("--"):
            return _unknown(word[2:], known, configs)
        return f"{word} is not --KEY VALUE (a value with spaces in it needs quotes)"
    if found := _NO_VALUE.search(text):
        return f"{found[1]} needs a value{_explained(arguments, found[1].lstrip('-'))}"
    if found := _UNKNOWN.search(detail):
        classes = _CLASS.findall(detail)
        own = _parameters(classes[-1]) if classes else []
        below = [f"{key}.{name}" for name in ("class_path", "init_args", *own)] if classes else []
        name = ".".join(part for part in (key, found[1], found[2]) if part)
        keys = (f": {key} has {listed(own, 20)}",) if own else ()
        others = [other for other in known if not other.startswith(f"{key}.")]  # of the class that is the default
        return _unknown(name, [*others, *below] if classes else known, configs, *keys)
    if found := _REQUIRED.search(detail):
        names = [f"{key}.{name}".lstrip(".") for name in found[1].split(", ")]
        names = [next((below for below in known if below.startswith(f"{name}.")), name) for name in names]
        return f"{' and '.join(f'--{name}' for name in names)} must be given (--help has examples)"
    return _class(text, key) or _value(text, detail, key, arguments) or one_line(error)


def instantiation_error(error: Exception, about: str = "") -> InputError:
    """What to tell the user about an error from a constructor.

    Args:
        error: What it raised.
        about: Beginning of the sentence.
    """
    for cause in _chain(error):
        if isinstance(cause, InputError):
            return InputError(about + cause.sentence, cause.drawing)
    return InputError(f"{about}{_raised_by_user(error)}{one_line(error)}")


def one_line(error: BaseException) -> str:
    """The text of an error in one line; of one from a process that reads data, what was raised there."""
    text = str(error)
    if "Original Traceback" in text:
        text = text.rpartition(f"{type(error).__name__}: ")[2]
    return sentence(text) or type(error).__name__


def _raised_by_user(error: BaseException) -> str:
    """Where the user's own code raised an error, as the beginning of a sentence; empty where it did not."""
    last = traceback.extract_tb(error.__traceback__)[-1:]
    installed = {sysconfig.get_path(name) for name in ("purelib", "platlib", "stdlib")}
    for frame in last:
        if not frame.filename.startswith((*filter(None, installed), str(PACKAGE), "<")):
            return f"{frame.name} in {frame.filename}, line {frame.lineno}, raised {type(error).__name__}: "
    return ""


def _unknown(key: str, known: list[str], configs: list[Config], otherwise: str = " (--help lists the keys)") -> str:
    """About the first unknown part of a dotted key; `otherwise` if no known key is similar."""
    parts = key.split(".")
    prefixes = {".".join(name.split(".")[:depth]) for name in known for depth in range(1, name.count(".") + 2)}
    length = next((n for n in range(1, len(parts)) if ".".join(parts[:n]) not in prefixes), len(parts))
    wrong = ".".join(parts[:length])
    if wrong == key and parts[-1] == "class_path":
        return f"{'.'.join(parts[:-1])}: the arguments of a class belong under init_args, beside class_path"
    if (meant := _ELSEWHERE.get(wrong)) in known:
        return f"unknown key {wrong}: did you mean {meant}?"
    where = next((f" in {config.name}" for config in configs if config.find(wrong) is not None), "")
    return f"unknown key {wrong}{where}" + did_you_mean(wrong, sorted(prefixes), otherwise)


def _interpolation(error: OmegaConfBaseException, known: list[str], configs: list[Config]) -> str:
    """About a ``${...}`` that leads nowhere."""
    from omegaconf.errors import InterpolationKeyError

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
    if key == "model.metrics" and (found := _KEY_OF_A_METRIC.search(text)):
        return (
            f"{key}.{found[1]} has no class yet: give --{key}.{found[1]} CLASS before its keys (lit-coiba metrics "
            "lists the classes)"
        )
    if found := _NESTED.search(text):
        return (
            f"{key} names a class and takes no arguments, so --{key}.{found[1]} is not known here: the file of weights"
            " has them, leave it out"
        )
    if found := _UNTYPED.search(text):
        return f"{key}: the argument {found[1]} of {found[2]} has no type: write one ({found[1]}: str), or a default"
    if found := _NO_PATH.search(text):
        shown = repr(printable(found[1].strip(), _VALUE))
        return f"{key}: {shown} is no name of a class or function: give module.name, without brackets or slashes"
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


def _value(text: str, detail: str, key: str, arguments: KeyArguments) -> str | None:
    """About a value of the wrong type."""
    expected = list(_EXPECTED.finditer(detail.partition("Given value type:")[0]))
    if not key or not expected:
        return None
    inner = next((match for match in expected if match[2] is not None), None)  # of one type, not of a union
    given = inner[2] if inner else (_GIVEN.search(text) or ["", "a value of another type"])[1]
    types = [_readable(match[1]) for match in ([inner] if inner else expected)]
    wanted = arguments.expected(key) or " or ".join(dict.fromkeys(types))
    value = printable(given, _VALUE)
    shown = value if value[:1] in "[{" else repr(given) if len(given) <= _VALUE else f"'{value}'"
    return f"--{key} expects {wanted}, got {shown}{_explained(arguments, key)}"


def _explained(arguments: KeyArguments, key: str) -> str:
    meaning = arguments.meaning(key)
    return f" ({meaning})" if meaning else ""


def _readable(type_name: str) -> str:
    """How a type is called in YAML."""
    if found := re.fullmatch(r"typing\.Literal\[(.*)\]", type_name):
        return found[1].replace("'", "").replace(", ", " or ")
    name = re.sub(r"<class '(?:[\w.]+\.)?(\w+)'>", r"\1", type_name)
    return _TYPES.get(name, name)


def _parameters(class_path: str) -> list[str]:
    module, _, name = class_path.rpartition(".")
    return list(signature(getattr(import_module(module), name)).parameters)


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    """An error and what it came from."""
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__
