"""The page, by gradio: it shows what a `LiveExplainer` says, and every error as one sentence."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

from PIL import Image

from lit_coiba.app.decision import Shown
from lit_coiba.app.live_explainer import LiveExplainer, line_of
from lit_coiba.core.errors import InputError, warn
from lit_coiba.core.printable import printable

HOST, PORT = "127.0.0.1", 7860
UPLOAD = "20mb"  # of one file
_KEPT = 3600  # seconds that gradio keeps pictures in its folder of temporary files
WAITING = 16  # visitors that wait for their turn
TITLE = "lit-coiba: what a model sees, and why"
_FIRST = 3  # methods that are ticked at first
_LOCAL = ("127.0.0.1", "localhost", "::1")


class PageEvents:
    """What happens on the page: plain functions from what is chosen to what is shown.

    Args:
        explainer: What explains.
        component: Makes what gradio takes as a change of a component, from the component's arguments.
    """

    def __init__(self, explainer: LiveExplainer, component: Callable[..., Any] = dict) -> None:
        self._explainer = explainer
        self._update = component

    def looked(self, picture: Any, model: str) -> tuple[Any, ...]:
        """Classes of a picture for the list of targets, what the model sees, and the message."""
        nothing = self._update(choices=[], value=None)
        if picture is None:
            return nothing, None, ""
        seen, message = self._tried(lambda: self._explainer.look(picture, model))
        if seen is None:
            return nothing, None, message
        choices = [(line_of(one), one.number) for one in seen.classes]
        return self._update(choices=choices, value=choices[0][1]), seen.picture, message

    def modeled(self, picture: Any, model: str) -> tuple[Any, ...]:
        """The same for another model, after the methods that it can be explained by."""
        words, message = self._tried(lambda: self._explainer.methods(model))
        words = words or []
        targets, seen, told = self.looked(picture, model)
        return self._update(choices=words, value=words[:_FIRST]), targets, seen, message or told

    def explained(self, picture: Any, model: str, methods: list[str], target: int | str | None) -> tuple[Any, ...]:
        """Maps, decision and concepts as pictures with captions, and the message."""
        if picture is None:
            return [], [], [], "Drop a picture first."
        target = None if target in ("", []) else target
        found, message = self._tried(lambda: self._explainer.explain(picture, model, methods, target))
        if found is None:
            return [], [], [], message
        told = "\n\n".join([f"**{line_of(found.target)}**", *map(_plain, found.notes)])
        return _gallery(found.maps), _gallery(found.decision), _gallery(found.concepts), told

    def _tried(self, work: Callable[[], Any]) -> tuple[Any, str]:
        """What some work gives, or None and one sentence."""
        try:
            return work(), ""
        except InputError as error:
            return None, _plain(str(error))
        except Exception as error:  # whatever a model raises: the page goes on
            return None, _plain(f"this failed ({type(error).__name__}: {error})")


def build(explainer: LiveExplainer) -> Any:
    """The page as gradio's Blocks, not launched.

    Raises:
        InputError: gradio is not installed.
    """
    gradio = _gradio()
    events = PageEvents(explainer, gradio.update)
    names = list(explainer.models)
    words = explainer.methods(names[0])
    with gradio.Blocks(analytics_enabled=False, title=TITLE, delete_cache=(_KEPT, _KEPT)) as page:
        gradio.Markdown(f"# {TITLE}")
        with gradio.Row():
            with gradio.Column(scale=1):
                picture = gradio.Image(type="filepath", sources=["upload", "clipboard"], label="picture", buttons=[])
                model = gradio.Dropdown(names, value=names[0], label="model", visible=len(names) > 1)
                target = gradio.Dropdown(
                    [],
                    label="class to explain: the most probable ones, or the number or name of another",
                    allow_custom_value=True,
                    interactive=True,
                )
                methods = gradio.CheckboxGroup(words, value=words[:_FIRST], label="methods")
                button = gradio.Button("Explain", variant="primary")
            with gradio.Column(scale=2):
                message = gradio.Markdown()
                seen = gradio.Image(label="what the model sees", interactive=False, buttons=[], height=240)
                maps = gradio.Gallery(label="maps: red where the evidence is", columns=3, buttons=[])
                decision = gradio.Gallery(label="the decision of the head", columns=2, buttons=[])
                concepts = gradio.Gallery(label="concepts that matter for this class", columns=4, buttons=[])
        picture.change(events.looked, [picture, model], [target, seen, message], api_name="look")
        model.change(events.modeled, [picture, model], [methods, target, seen, message], api_name="model")
        chosen = [picture, model, methods, target]
        button.click(events.explained, chosen, [maps, decision, concepts, message], api_name="explain")
    return page.queue(max_size=WAITING, default_concurrency_limit=1)


def launch(explainer: LiveExplainer, host: str = HOST, port: int = PORT, wait: bool = True) -> tuple[Any, str]:
    """Serve the page.

    Args:
        explainer: What explains.
        host: Address to listen at; any other than this machine's own is warned of.
        port: TCP port; 0 = the first free one from 7860 on.
        wait: Whether to wait until Ctrl-C.

    Returns:
        The page, and its address.

    Raises:
        InputError: gradio is not installed, or the port is taken.
    """
    if not 0 <= port < 2**16:
        raise InputError(f"port is {port}: give 0 to 65535")
    page = build(explainer)
    gradio = _gradio()
    if host not in _LOCAL:
        warn(
            f"host is {printable(host, 80)}: everyone who reaches this machine can use the page and send it pictures,"
            " without a password or encryption"
        )
    theme = gradio.themes.Default(font=["system-ui", "sans-serif"], font_mono=["monospace"])  # nothing is fetched
    try:
        _, address, _ = page.launch(
            server_name=host,
            server_port=port or None,
            share=False,
            inbrowser=False,
            quiet=True,
            prevent_thread_lock=True,
            max_file_size=UPLOAD,
            theme=theme,
            footer_links=[],
            ssr_mode=False,
            pwa=False,
            mcp_server=False,
            enable_monitoring=False,
        )
    except OSError as error:
        raise InputError(f"port {port} at {printable(host, 80)} cannot be used: give another one, or 0") from error
    if wait:
        page.block_thread()
    return page, address


def _gradio() -> Any:
    """gradio, which asks nobody and tells nobody anything."""
    for name, value in (("GRADIO_ANALYTICS_ENABLED", "False"), ("HF_HUB_OFFLINE", "1"), ("DO_NOT_TRACK", "1")):
        os.environ[name] = value
    try:
        import gradio
    except ImportError as error:
        raise InputError("the page needs gradio, which is not installed: pip install 'lit-coiba[app]'") from error
    return gradio


def _gallery(shown: list[Shown]) -> list[tuple[Image.Image, str]]:
    return [(one.picture, one.caption) for one in shown]


def _plain(sentence: str) -> str:
    """A sentence that Markdown shows as it is."""
    text = printable(" ".join(sentence.split()), 500)
    return "".join(f"\\{sign}" if sign in r"\`*_{}[]<>#|!~$" else sign for sign in text)
