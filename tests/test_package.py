"""The wheel: what a stranger gets from pip."""

import os
import subprocess
import sys
import zipfile
from importlib.util import find_spec
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    if find_spec("hatchling") is None:
        pytest.skip("building a wheel needs hatchling: pip install hatchling")
    if find_spec("pip") is None:
        pytest.skip("building a wheel needs pip")
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "pip", "wheel", "--no-deps", "--no-build-isolation", "--no-index", "--quiet"]
    done = subprocess.run([*command, "-w", str(folder), str(ROOT)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    (built,) = folder.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def names(wheel):
    with zipfile.ZipFile(wheel) as archive:
        return set(archive.namelist())


def files_below(folder, *patterns):
    found = {path.relative_to(ROOT).as_posix() for pattern in patterns for path in (ROOT / folder).rglob(pattern)}
    assert found
    return found


def test_has_every_module_and_says_that_it_is_typed(names):
    assert files_below("lit_coiba", "*.py", "py.typed") <= names
    assert not [name for name in names if name.endswith(".pyc") or name.startswith("tests")]


def test_has_the_configs_the_checkpoints_and_the_spectra_inside_the_package(names):
    weights, spectra = (files_below(folder, "*.safetensors", "*.md") for folder in ("checkpoints", "spectra"))
    shipped = files_below("configs", "*.yaml") | weights | spectra
    assert {f"lit_coiba/{name}" for name in shipped} <= names


def test_is_small(wheel):
    # six networks for SyntheticParts of .9 to 2.3 MB, a readout of each of .7 to 1.3
    assert wheel.stat().st_size < 20e6


def test_has_the_command_and_the_licence(wheel, names):
    information = next(name for name in names if name.endswith("entry_points.txt"))
    with zipfile.ZipFile(wheel) as archive:
        assert b"lit-coiba = lit_coiba.cli:" in archive.read(information)
    assert any(name.endswith("licenses/LICENSE") for name in names)


def test_an_installed_package_finds_its_resources(wheel, tmp_path):
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(tmp_path)
    asked = "resource('configs/method/coiba.yaml'), resource('checkpoints')"
    code = f"from lit_coiba.resources import resource; print({asked})"
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
        check=True,
    )
    package = tmp_path / "lit_coiba"
    assert done.stdout.split() == [str(package / "configs" / "method" / "coiba.yaml"), str(package / "checkpoints")]
