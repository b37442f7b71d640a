"""One class as a single HTML file, with its pictures, styles and scripts in it."""

from __future__ import annotations

import base64
import os
from pathlib import Path
from typing import Any

import msgspec

from lit_coiba.core.errors import InputError
from lit_coiba.core.printable import printable
from lit_coiba.explorer.page_data import ClassPage, Site
from lit_coiba.explorer.rendering import Assets, Renderer
from lit_coiba.explorer.site_folder import SITE_KEY, VERB, SiteFolder
from lit_coiba.explorer.sources import class_address
from lit_coiba.files.atomic import atomically
from lit_coiba.files.given_path import given_path
from lit_coiba.files.json_text import decode_json
from lit_coiba.files.owned import begins, check_own_file, is_marked
from lit_coiba.files.regular import clause

_TYPES = {".webp": "image/webp", ".png": "image/png", ".svg": "image/svg+xml"}
_TEXTS = (".css", ".js")


def single_page(site: str | os.PathLike[str], cls: int, file: str | os.PathLike[str]) -> Path:
    """Write the page of a class as one file, which can be sent to somebody.

    Args:
        site: Folder of a site that is finished.
        cls: Number of the class.
        file: The file; one that an earlier call wrote is replaced.

    Returns:
        The file.

    Raises:
        InputError: There is no such site or class, or the file cannot be written or is something else.
    """
    folder, target = given_path(site, "site"), given_path(file, "single")
    if not is_marked(folder, VERB):
        raise InputError(f"site: {printable(folder, 200)} is not a site that lit-coiba explorer has written")
    check_own_file(target, "single", begins("<!doctype html", "<!DOCTYPE html"))
    opened = SiteFolder(folder)
    try:
        page: ClassPage = decode_json(opened.read(class_address(cls).replace(".html", ".json")), ClassPage)
    except (OSError, ValueError) as error:
        raise InputError(f"the site {printable(folder, 200)} has no page of class {cls}: give another class") from error
    about = opened.summary(SITE_KEY, Site)
    if about is None:
        raise InputError(f"the site {printable(folder, 200)} is not finished: run lit-coiba explorer again")
    try:
        inline = _pictures(opened, msgspec.to_builtins(page)) | _assets(Assets())
        page = msgspec.structs.replace(page, beside={})
        shown: ClassPage = msgspec.convert(_with_pictures(msgspec.to_builtins(page), inline), ClassPage)
        content = Renderer(about).html(page, inline, shown)
        target.parent.mkdir(parents=True, exist_ok=True)
        with atomically(target) as out:
            out.write(content)
    except OSError as error:
        raise InputError(f"single {printable(target, 200)} cannot be written: {clause(error)}") from error
    return target


def _assets(assets: Assets) -> dict[str, str]:
    """Address -> text that is safe within its element, or a picture."""
    found = {}
    for address, content in assets.contents.items():
        end = Path(address).suffix
        if end in _TEXTS:
            found[address] = content.decode().replace("</script", "<\\/script").replace("<!--", "<\\!--")
        elif end in _TYPES:
            found[address] = _data(content, end)
    return found


def _pictures(site: SiteFolder, told: Any) -> dict[str, str]:
    """Address -> the picture itself, of all pictures that a page names."""
    found: dict[str, str] = {}
    if isinstance(told, dict):
        if isinstance(src := told.get("src"), str):
            found[src] = _data(site.read(src), Path(src).suffix)
        for value in told.values():
            found |= _pictures(site, value)
    elif isinstance(told, list | tuple):
        for value in told:
            found |= _pictures(site, value)
    return found


def _with_pictures(told: Any, inline: dict[str, str]) -> Any:
    """A page's values with pictures in the place of their addresses."""
    if isinstance(told, dict):
        return {
            key: inline[value] if key == "src" and value in inline else _with_pictures(value, inline)
            for key, value in told.items()
        }
    return [_with_pictures(value, inline) for value in told] if isinstance(told, list | tuple) else told


def _data(content: bytes, end: str) -> str:
    return f"data:{_TYPES[end]};base64,{base64.b64encode(content).decode()}"


def class_number(site: str | os.PathLike[str], given: str) -> int:
    """The number of a class of a site, from its number or its name.

    Raises:
        InputError: The site has no class of that name, or several.
    """
    if given.isdigit():
        return int(given)
    opened = SiteFolder(given_path(site, "site"))
    files = sorted(file.name for file in (opened.root / "classes").glob("*.json") if file.stem.isdigit())
    found = [int(name[:-5]) for name in files if decode_json(opened.read(f"classes/{name}"), _Named).name == given]
    if len(found) != 1:
        told = f"{len(found)} classes have the name" if found else "no class has the name"
        raise InputError(f"single: {told} {printable(given, 80)}: give the number of a class")
    return found[0]


class _Named(msgspec.Struct):
    name: str
