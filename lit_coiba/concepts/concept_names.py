"""Names that people gave concepts, from a file: class -> concept -> name."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import yaml

from lit_coiba.concepts.concept_run import ConceptRun
from lit_coiba.core.errors import InputError
from lit_coiba.core.printable import printable
from lit_coiba.files.given_path import given_path
from lit_coiba.files.json_text import read_json, typed
from lit_coiba.files.regular import read_text
from lit_coiba.files.yaml_text import check_yaml

SIDECARS = ("names.json", "names.yaml", "names.yml")  # in a concept run
LONGEST = 120  # characters of a name that is shown

Names = dict[int, dict[int, str]]


def read_names(file: Path) -> Names:
    """The names in a JSON or YAML file, such as ``{"17": {"0": "stripes"}}``.

    Raises:
        InputError: It cannot be read, or is something else.
    """
    try:
        if file.suffix == ".json":
            told: Any = read_json(file, Any, "names")
        else:
            check_yaml(text := read_text(file, "names"), f"names: {printable(file, 200)}")
            told = yaml.safe_load(text)
        found: dict[str, dict[str, str]] = typed(
            {str(cls): {str(k): name for k, name in names.items()} for cls, names in told.items()},
            dict[str, dict[str, str]],
        )
        return {int(cls): {int(k): printable(n, LONGEST) for k, n in names.items()} for cls, names in found.items()}
    except FileNotFoundError as error:
        raise InputError(f"names: there is no file {printable(file, 200)}") from error
    except (OSError, ValueError, AttributeError, yaml.YAMLError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(
            f"names: {printable(file, 200)} does not have names of concepts by numbers: write"
            ' {"17": {"0": "stripes"}}, class -> concept -> name'
        ) from error


def names_of_run(run: ConceptRun, given: str | os.PathLike[str] | None) -> Names:
    """The names in the file that was given, or in one that lies in a run.

    Raises:
        InputError: The file cannot be read.
    """
    if given is not None:
        return read_names(given_path(given, "names"))
    file = next((run.path / name for name in SIDECARS if (run.path / name).is_file()), None)
    return {} if file is None else read_names(file)
