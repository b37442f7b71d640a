"""A site over HTTP on this machine, for browsers and people that prefer it to a folder."""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from lit_coiba.core.errors import InputError
from lit_coiba.core.printable import printable
from lit_coiba.explorer.site_folder import VERB
from lit_coiba.files.given_path import given_path
from lit_coiba.files.owned import is_marked
from lit_coiba.files.regular import clause

HOST, PORT = "127.0.0.1", 8008
_NAMES = (HOST, "localhost")  # that a browser on this machine may ask for


class _Handler(SimpleHTTPRequestHandler):
    """Gives the files of the site and nothing else: no listings, no links out of it, no other host's pages."""

    server_version, sys_version = "lit-coiba", ""

    def send_head(self) -> Any:
        """The file that is asked for, or an error."""
        host = self.headers.get("Host", "").rpartition(":")[0] or self.headers.get("Host", "")
        root = os.path.realpath(self.directory)
        place = os.path.realpath(self.translate_path(self.path))
        if host not in _NAMES or os.path.commonpath([root, place]) != root or "/." in self.path:
            self.send_error(403)
            return None
        return super().send_head()

    def list_directory(self, path: Any) -> None:
        """Refused: pages are found by their links."""
        self.send_error(404)

    def end_headers(self) -> None:
        """Add what keeps a browser from guessing and from keeping old pages."""
        self.send_header("X-Content-Type-Options", "nosniff")
        self.send_header("Cache-Control", "no-cache")
        super().end_headers()

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing is written for each file."""


def site_server(site: str | os.PathLike[str], port: int = PORT) -> ThreadingHTTPServer:
    """A server of a site that listens on this machine only; ``serve_forever`` runs it.

    Args:
        site: Folder of the site.
        port: TCP port; 0 = any that is free.

    Raises:
        InputError: It is no site, or the port is taken.
    """
    folder: Path = given_path(site, "site")
    if not is_marked(folder, VERB):
        raise InputError(f"site: {printable(folder, 200)} is not a site that lit-coiba explorer has written")
    if not 0 <= port < 2**16:
        raise InputError(f"port is {port}: give 0 to 65535")
    try:
        return ThreadingHTTPServer((HOST, port), partial(_Handler, directory=str(folder)))
    except OSError as error:
        raise InputError(f"port {port} cannot be used ({clause(error)}): give another one, such as 0") from error


def serve(site: str | os.PathLike[str], port: int = PORT, tell: Callable[[str], None] = print) -> None:
    """Serve a site on this machine until Ctrl-C.

    Args:
        site: Folder of the site.
        port: TCP port; 0 = any that is free.
        tell: Called with the address once it can be opened.

    Raises:
        InputError: It is no site, or the port is taken.
    """
    with site_server(site, port) as server:
        tell(f"http://{HOST}:{server.server_address[1]}/")
        try:
            server.serve_forever()
        except KeyboardInterrupt:
            return
