"""The place of a file and its card, before a fit that is going to write them."""

from __future__ import annotations

from pathlib import Path

from lit_coiba.core.errors import InputError
from lit_coiba.files.atomic import remove_leftovers, temporary_folder
from lit_coiba.files.given_path import given_path
from lit_coiba.files.owned import HEAD, begins, check_own_file
from lit_coiba.files.regular import clause


def safetensors_path(file: str, what: str) -> Path:
    """The path of a file to write.

    Args:
        file: What the user gave.
        what: What is written, for the message.

    Raises:
        InputError: It is not named ``.safetensors``.
    """
    if Path(file).suffix != ".safetensors":
        raise InputError(f"file is {file}, but {what} as safetensors: name it {file}.safetensors")
    return given_path(file, "file")


def check_export_place(file: Path, header: str, *cards: str) -> None:
    """Look whether a file and its card, the same name with ``.md``, can be written; their folder is made.

    Args:
        file: The file.
        header: Key of the metadata by which a file of this kind is known.
        cards: How a card may go on after its title.

    Raises:
        InputError: They cannot be written, or something else has their names.
    """
    check_own_file(file, "file", begins(f'"{header}":', within=HEAD))
    titles = [f"# {file.stem}\n\n{text}" for text in cards]
    check_own_file(file.with_suffix(".md"), "file", begins(*titles))
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        remove_leftovers(file.parent)
        with temporary_folder(file):
            pass
    except OSError as error:
        raise InputError(f"file {file} cannot be written ({clause(error)}): choose another folder") from error
