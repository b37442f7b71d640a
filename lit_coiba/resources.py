"""Find the configs, checkpoints and spectra that come with the package, from a wheel or from a checkout."""

from contextlib import suppress
from importlib.resources import as_file, files
from pathlib import Path


def resource(name: str) -> Path:
    """The path of a shipped file or folder, such as ``configs/method/coiba.yaml``.

    Raises:
        FileNotFoundError: Neither the installed package nor the checkout has it.
    """
    package = files("lit_coiba")
    with as_file(package) as root:  # a wheel carries the folders inside the package, a checkout beside it
        for base in (root, root.parent):
            if (base / name).exists():
                return base / name
    raise FileNotFoundError(f"{name} is not among the files that come with lit-coiba")


def located(file: str) -> str:
    """A file of the user, or else, if it is called ``checkpoints/...``, one that comes with the package."""
    if file.startswith("checkpoints/") and not Path(file).exists():
        with suppress(FileNotFoundError):
            return str(resource(file))
    return file
