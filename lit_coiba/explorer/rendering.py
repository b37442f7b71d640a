"""Pages as HTML and JSON: texts of runs are escaped wherever they stand."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from importlib.resources import files
from typing import Any

import msgspec

from lit_coiba.core.errors import InputError
from lit_coiba.explorer.page_data import Page, Site
from lit_coiba.explorer.site_folder import PartFiles

# What ends a script element, or a string in an old reader of JavaScript.
_ESCAPED = str.maketrans({"<": "\\u003c", ">": "\\u003e", "&": "\\u0026", "\u2028": "\\u2028", "\u2029": "\\u2029"})
PLOTLY = "assets/plotly.min.js"


class Renderer:
    """Writes pages with the templates of this package.

    Args:
        site: What all pages share.

    Raises:
        InputError: jinja2 or plotly is not installed.
    """

    def __init__(self, site: Site) -> None:
        self.site = site
        try:
            import jinja2
        except ImportError as error:
            raise InputError("the explorer needs jinja2: pip install 'lit-coiba[explorer]'") from error
        self._jinja = jinja2.Environment(
            loader=jinja2.PackageLoader("lit_coiba.explorer", "templates"),
            autoescape=True,
            undefined=jinja2.StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )

    def html(self, page: Page, inline: Mapping[str, str] | None = None, shown: Page | None = None) -> bytes:
        """A page as HTML.

        Args:
            page: The page.
            inline: Address -> its content, where nothing is beside the page.
            shown: What its script element has; None = the page.
        """
        from markupsafe import Markup

        template = self._jinja.get_template(f"{page.template}.html.j2")
        data = Markup(script_json(page if shown is None else shown))
        root = "../" * page.address.count("/")
        return template.render(site=self.site, page=page, root=root, data=data, inline=inline or {}).encode()

    def write(self, files: PartFiles, page: Page, whole: Page | None = None) -> None:
        """Put a page in place, and a JSON file with the same labels and numbers beside it.

        Args:
            files: Files of the part that it belongs to.
            page: The page.
            whole: The same with what lies beside it; None = the page.
        """
        files.write(page.address, self.html(page))
        content = page if whole is None else whole
        files.write(f"{page.address.removesuffix('.html')}.json", msgspec.json.encode(content, order="deterministic"))


def write_beside(files: PartFiles, name: str, value: Any) -> str:
    """Put values in place that pages load as a script; its address."""
    address = f"data/{name}.js"
    files.write(address, f'litCoiba.receive("{name}",{script_json(value)});\n'.encode())
    return address


def script_json(value: Any) -> str:
    """Values as JSON that is safe within a script element; what is no number is null.

    Example:
        >>> script_json({"name": "</script>", "score": float("nan")})
        '{"name":"\\\\u003c/script\\\\u003e","score":null}'
    """
    return msgspec.json.encode(value, order="deterministic").decode().translate(_ESCAPED)


class Assets:
    """Styles and scripts of the site."""

    @cached_property
    def contents(self) -> dict[str, bytes]:
        """Address -> content; plotly's script comes from its package.

        Raises:
            InputError: plotly is not installed.
        """
        try:
            from plotly.offline import get_plotlyjs
        except ImportError as error:
            raise InputError("the explorer needs plotly: pip install 'lit-coiba[explorer]'") from error
        folder = files("lit_coiba.explorer") / "assets"
        own = {f"assets/{file.name}": file.read_bytes() for file in folder.iterdir() if file.is_file()}
        return {**dict(sorted(own.items())), PLOTLY: get_plotlyjs().encode()}

    def templates(self) -> dict[str, bytes]:
        """Name -> content of the templates."""
        folder = files("lit_coiba.explorer") / "templates"
        return {file.name: file.read_bytes() for file in folder.iterdir() if file.is_file()}
