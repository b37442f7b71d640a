import pytest
import yaml

from lit_coiba import resources
from lit_coiba.resources import located, resource


def test_a_checkout_has_the_folders_beside_the_package():
    assert yaml.safe_load(resource("configs/method/coiba.yaml").read_text(encoding="utf-8"))
    assert list(resource("checkpoints").glob("*.safetensors"))


def test_a_wheel_has_them_inside(tmp_path, monkeypatch):
    package = tmp_path / "site-packages" / "lit_coiba"
    (package / "configs").mkdir(parents=True)
    (package / "configs" / "a.yaml").touch()
    (tmp_path / "site-packages" / "configs").mkdir()  # of some other package
    (tmp_path / "site-packages" / "configs" / "a.yaml").touch()
    monkeypatch.setattr(resources, "files", lambda name: tmp_path / "site-packages" / name)
    assert resource("configs/a.yaml") == package / "configs" / "a.yaml"
    assert resource("configs") == package / "configs"


def test_what_there_is_not_is_named():
    with pytest.raises(FileNotFoundError, match=r"configs/method/coba\.yaml is not among the files that come with"):
        resource("configs/method/coba.yaml")


def test_a_file_of_the_user_comes_before_one_that_is_shipped(tmp_path, monkeypatch):
    name = "checkpoints/readout_coiba_synthetic_parts_vit.safetensors"
    monkeypatch.chdir(tmp_path)
    assert located(name) == str(resource(name))
    (tmp_path / "checkpoints").mkdir()
    (tmp_path / name).touch()
    assert located(name) == name
    assert located("other.safetensors") == "other.safetensors"
    assert located("checkpoints/other.safetensors") == "checkpoints/other.safetensors"
