"""The verb ``serve``: a site over HTTP."""

from __future__ import annotations

from lit_coiba.cli import terminal
from lit_coiba.cli.parsing.quick_check import check_folders
from lit_coiba.cli.verb import FunctionVerb


def serve(site: str, port: int = 8008) -> int:
    """Serve a site that lit-coiba explorer has written, to browsers on this machine only, until Ctrl-C.

    The site opens from disk as well: this is for browsers that restrict pages from disk, and for ports that are
    forwarded from another machine.

    Args:
        site: Folder of the site.
        port: TCP port; 0 = any that is free.
    """
    check_folders([site], "a site", "a folder written by explorer")  # before seconds are spent on imports
    from lit_coiba.explorer.serving import serve as serve_site

    serve_site(site, port, lambda address: terminal.say(f"Serving {address} (Ctrl-C stops it)"))
    return 0


SERVE = FunctionVerb(
    name="serve",
    summary="serve a site that explorer has written, to browsers on this machine",
    position=66,
    function=serve,
    usage="serve SITE [--port PORT]",
    positional=("site",),
    examples="""\
  A site, and the same from a machine that is reached over ssh:
    lit-coiba serve site
    ssh -L 8008:127.0.0.1:8008 MACHINE lit-coiba serve site""",
)
