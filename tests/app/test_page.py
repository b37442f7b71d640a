"""The page: its functions without gradio; the Blocks and a real launch where gradio is installed."""

import importlib.util
import json
import os
import re
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from pathlib import Path

import pytest

from lit_coiba.app import page
from lit_coiba.app.live_explainer import LiveExplainer
from lit_coiba.app.models import model_named
from lit_coiba.app.page import PageEvents, build
from lit_coiba.cli import main
from lit_coiba.core.errors import InputError
from lit_coiba.data.synthetic import SyntheticPartsDataset
from tests._testers.runs import PATIENCE, ROOT

needs_gradio = pytest.mark.skipif(importlib.util.find_spec("gradio") is None, reason="gradio is not installed")


@pytest.fixture(scope="module")
def live():
    return LiveExplainer({"cnn": model_named("synthetic_parts_cnn").eval()}, ["grad_cam", "saliency"])


@pytest.fixture
def picture(tmp_path):
    SyntheticPartsDataset("val").image(0).save(tmp_path / "a.png")
    return str(tmp_path / "a.png")


def test_a_picture_fills_the_list_of_classes(live, picture):
    targets, seen, message = PageEvents(live).looked(picture, "cnn")
    assert len(targets["choices"]) == 5
    assert targets["value"] == targets["choices"][0][1]
    assert re.fullmatch(r".+, (\d+%|\d\.\d%|<0\.1%)", targets["choices"][0][0])
    assert seen.size == (64, 64)
    assert message == ""
    assert PageEvents(live).looked(None, "cnn") == ({"choices": [], "value": None}, None, "")


def test_another_model_has_other_methods(live, picture):
    methods, targets, _, message = PageEvents(live).modeled(picture, "cnn")
    assert methods == {"choices": ["grad_cam", "saliency"], "value": ["grad_cam", "saliency"]}
    assert len(targets["choices"]) == 5
    assert message == ""


def test_maps_have_captions_and_the_class_is_told(live, picture):
    maps, decision, concepts, message = PageEvents(live).explained(picture, "cnn", ["grad_cam"], 3)
    assert [caption.split(",")[0] for _, caption in maps] == ["grad_cam"]
    assert decision == concepts == []
    assert message.startswith("**")


def test_errors_are_sentences_of_the_page(live, picture, tmp_path, monkeypatch):
    events = PageEvents(live)
    (tmp_path / "b.png").write_text("<script>alert(1)</script>")
    message = events.looked(str(tmp_path / "b.png"), "cnn")[2]
    assert "cannot be read" in message
    assert "\n" not in message
    assert events.explained(None, "cnn", [], None)[3] == "Drop a picture first."
    assert "there is no model" in events.explained(picture, "<b>x</b>", [], None)[3]
    assert "<b>" not in events.explained(picture, "<b>x</b>", [], None)[3].replace("\\<", "")
    monkeypatch.setattr(live, "look", lambda *given: 1 / 0)
    assert "ZeroDivisionError" in events.looked(picture, "cnn")[2]


def test_without_gradio_it_says_how_to_install_it(live, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "gradio", None)
    with pytest.raises(InputError, match=r"needs gradio, which is not installed: pip install 'lit-coiba\[app\]'"):
        build(live)
    assert main(["app", "synthetic_parts_cnn", "--methods", "saliency"]) == 2
    assert "pip install 'lit-coiba[app]'" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["app"], "write lit-coiba app MODEL"),
        (["app", "nothing"], "neither a file nor a shipped model"),
        (["app", "synthetic_parts_cnn", "--methods", "grdcam"], "is no method"),
        (["app", "synthetic_parts_cnn", "--methods", "saliency", "--port", "70000"], "port is 70000"),
        (["app", "synthetic_parts_cnn", "--concepts", "nowhere"], "nowhere does not exist"),
    ],
)
def test_commands_that_cannot_be(words, sentence, capsys):
    assert main(words) == 2
    (line,) = [line for line in capsys.readouterr().err.splitlines() if "error" in line]
    assert sentence in line


def asked(address, name, data):
    """What an event of the page gives, by gradio's HTTP interface."""
    body = json.dumps({"data": data}).encode()
    call = urllib.request.Request(
        f"{address}gradio_api/call/{name}", body, {"Content-Type": "application/json"}, method="POST"
    )
    event = json.loads(urllib.request.urlopen(call, timeout=60).read())["event_id"]
    told = urllib.request.urlopen(f"{address}gradio_api/call/{name}/{event}", timeout=120).read().decode()
    assert "event: complete" in told, told
    return json.loads(told.rpartition("data: ")[2])


def uploaded(address, content, name):
    """A file as the page's components name it, or the status by which it was refused."""
    lines = [b"--x", f'Content-Disposition: form-data; name="files"; filename="{name}"'.encode()]
    body = b"\r\n".join([*lines, b"Content-Type: image/png", b"", content, b"--x--", b""])
    call = urllib.request.Request(
        f"{address}gradio_api/upload", body, {"Content-Type": "multipart/form-data; boundary=x"}, method="POST"
    )
    try:
        (path,) = json.loads(urllib.request.urlopen(call, timeout=60).read())
    except urllib.error.HTTPError as error:
        return error.code
    return {"path": path, "meta": {"_type": "gradio.FileData"}}


@needs_gradio
def test_the_page_is_served_on_this_machine_and_explains(picture, tmp_path):
    words = ["app", "synthetic_parts_cnn", "--methods", "grad_cam", "saliency", "--port", "0"]
    process = subprocess.Popen(
        [sys.executable, "-m", "lit_coiba", *words],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), *os.environ.get("PYTHONPATH", "").split(":")])},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        line = next(line for line in process.stdout if line.startswith("Serving") or process.poll() is not None)
        address = line.split()[1]
        assert re.fullmatch(r"http://127\.0\.0\.1:\d+/", address)
        html = urllib.request.urlopen(address, timeout=60).read().decode()
        assert page.TITLE.partition(":")[0] in html
        assert not re.findall(r"<(?:script|link)[^>]+(?:src|href)=.https?:", html)  # nothing comes from elsewhere
        config = json.loads(urllib.request.urlopen(f"{address}config", timeout=60).read())
        assert config["analytics_enabled"] is False
        file = uploaded(address, Path(picture).read_bytes(), "a.png")
        targets, seen, message = asked(address, "look", [file, "synthetic_parts_cnn"])
        assert len(targets["choices"]) == 5
        assert seen["path"]
        assert message == ""
        chosen = [file, "synthetic_parts_cnn", ["grad_cam", "saliency"], targets["value"]]
        maps, decision, concepts, message = asked(address, "explain", chosen)
        assert [one["caption"].split(",")[0] for one in maps] == ["grad_cam", "saliency"]
        assert decision == concepts == []
        assert message.startswith("**")
        assert uploaded(address, b"\0" * 21_000_000, "large.png") == 413
        port = address.rstrip("/").rpartition(":")[2]
        again = subprocess.run(
            [sys.executable, "-m", "lit_coiba", *words[:-1], port],
            cwd=tmp_path, capture_output=True, text=True, timeout=PATIENCE, check=False,
        )  # fmt: skip
        assert again.returncode == 2
        assert f"port {port} at 127.0.0.1 cannot be used" in again.stderr
    finally:
        process.send_signal(signal.SIGINT)
        process.wait(60)
        process.stdout.close()
    assert process.returncode in (0, 130)


# In a process of its own, since gradio leaves event loops behind that it did not close.
SCRIPT = """
import warnings
warnings.simplefilter("ignore")
import gradio
from lit_coiba.app import page
from lit_coiba.app.live_explainer import LiveExplainer
from lit_coiba.app.models import models_of

told, said = {}, []
gradio.Blocks.launch = lambda self, **how: told.update(how) or (None, "http://a:1/", "")
page.warn = said.append
live = LiveExplainer(models_of(["synthetic_parts_cnn"]), ["grad_cam", "saliency"])
page.launch(live, host="0.0.0.0", port=0, wait=False)
assert len(said) == 1 and "everyone who reaches this machine can use the page" in said[0], said
assert told["server_name"] == "0.0.0.0" and told["share"] is False and told["max_file_size"] == page.UPLOAD
page.launch(live, port=0, wait=False)
assert len(said) == 1
blocks = page.build(live)
assert blocks.analytics_enabled is False
names = {one.api_name for one in blocks.fns.values()}
assert names == {"look", "model", "explain"}, names
targets, seen, message = next(one for one in blocks.fns.values() if one.api_name == "look").fn(None, "x")
assert (seen, message) == (None, ""), (seen, message)
"""


@needs_gradio
def test_other_hosts_are_warned_of_and_nothing_is_shared():
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT],
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), *os.environ.get("PYTHONPATH", "").split(":")])},
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    assert done.returncode == 0, done.stderr
