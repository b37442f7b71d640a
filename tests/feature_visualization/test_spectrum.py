"""The magnitude spectrum: measured, saved, read, resized; what is no spectrum is refused in one sentence."""

import hashlib

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file

from lit_coiba.core.errors import InputError
from lit_coiba.data.dataset import ImageDataset
from lit_coiba.feature_visualization import spectrum as module
from lit_coiba.feature_visualization.spectrum import SHIPPED, MagnitudeSpectrum, parse_spectrum
from lit_coiba.resources import resource
from tests._testers.pictures import Pictures

INVERSE = np.linalg.inv([[0.5628, 0.5845, 0.5845], [0.1948, 0.0, -0.1948], [0.0433, -0.1082, 0.0649]])


class Noisy(ImageDataset):
    """Pictures of random pixels, wider than high."""

    def __init__(self, count, size=(20, 16)):
        self.ids, self.labels, self.classes = [f"{i:03d}" for i in range(count)], [-1] * count, []
        self.size = size
        self.seen = 0

    def pixels(self, index):
        return np.random.default_rng(index).integers(0, 256, (self.size[1], self.size[0], 3), np.uint8)

    def image(self, index):
        self.seen += 1
        return Image.fromarray(self.pixels(index))


def written(folder, count):
    data = Noisy(count)
    folder.mkdir()
    for index in range(count):
        data.image(index).save(folder / f"{index}.png")
    return folder


def test_it_is_the_mean_magnitude_of_the_central_squares_in_decorrelated_colors():
    data = Noisy(5)
    wanted = np.zeros((3, 16, 9))
    for index in range(5):
        square = data.pixels(index)[:, 2:18].astype(np.float64) / 255
        wanted += np.abs(np.fft.rfft2(np.moveaxis(square @ INVERSE, -1, 0))) / 5
    found = MagnitudeSpectrum.estimate(data, 16, "noise")
    assert np.allclose(found.magnitude, wanted, rtol=1e-5)
    assert (found.count, found.source) == (5, "noise")
    assert data.seen == 5


def test_other_sizes_are_resized():
    found = MagnitudeSpectrum.estimate(Noisy(2), 32)
    assert found.magnitude.shape == (3, 32, 17)
    assert "32 x 32" in found.preprocessing


def test_what_was_saved_is_read(tmp_path):
    for one in (MagnitudeSpectrum.estimate(Noisy(3), 16, "noise"), MagnitudeSpectrum.estimate(Noisy(3), 16).radial()):
        read = MagnitudeSpectrum.load(one.save(tmp_path / "new" / "spectrum.safetensors"))
        assert torch.equal(read.magnitude, one.magnitude)
        assert (read.count, read.preprocessing) == (one.count, one.preprocessing)
    again = read.save(tmp_path / "again.safetensors")
    assert again.read_bytes() == (tmp_path / "new" / "spectrum.safetensors").read_bytes()


def test_the_authors_array_is_read(tmp_path):
    array = np.random.default_rng(0).uniform(0.1, 1, (3, 16, 9)).astype(np.float32)
    np.save(tmp_path / "spectrum.npy", array)
    found = parse_spectrum(str(tmp_path / "spectrum.npy"))
    assert np.array_equal(found.magnitude, array)
    assert found.on_canvas(24, 30).shape == (3, 24, 16)


@pytest.mark.parametrize("shape", [(3, 16, 16), (1, 16, 9), (3, 15, 8), (3,), (3, 1), (2, 8)])
def test_a_file_of_another_size_is_refused_in_one_sentence(shape, tmp_path):
    file = tmp_path / "spectrum.safetensors"
    save_file({"magnitude": torch.ones(shape)}, file, {"lit_coiba.spectrum": "{}"})
    with pytest.raises(InputError, match=r"has the shape .*: give \(3, S, S / 2 \+ 1\)") as refused:
        MagnitudeSpectrum.load(file)
    assert str(shape) in str(refused.value)
    assert "\n" not in str(refused.value)


def test_an_array_of_another_size_is_refused(tmp_path):
    np.save(tmp_path / "one.npy", np.ones((3, 16, 16), np.float32))
    np.save(tmp_path / "two.npy", np.ones((4, 16, 9), np.float32))
    with pytest.raises(InputError, match=r"has the shape \(3, 16, 16\)"):
        MagnitudeSpectrum.load(tmp_path / "one.npy")
    with pytest.raises(InputError, match=r"cannot be read .*\(4, 16, 9\)"):
        MagnitudeSpectrum.load(tmp_path / "two.npy")


@pytest.mark.parametrize("bad", [0.0, -1.0, float("nan"), float("inf")])
def test_magnitudes_are_finite_and_above_zero(bad):
    values = torch.ones(3, 8)
    values[1, 2] = bad
    with pytest.raises(InputError, match="not finite numbers above 0"):
        MagnitudeSpectrum(values)
    with pytest.raises(InputError, match="float64: give float32"):
        MagnitudeSpectrum(values.double())


def test_files_of_something_else_are_refused(tmp_path):
    (tmp_path / "text.safetensors").write_text("nothing" * 30)
    save_file({"magnitude": torch.ones(3, 8)}, tmp_path / "bare.safetensors")
    save_file({"other": torch.ones(3, 8)}, tmp_path / "other.safetensors", {"lit_coiba.spectrum": "{}"})
    save_file({"magnitude": torch.ones(3, 8)}, tmp_path / "odd.safetensors", {"lit_coiba.spectrum": '{"count": -1}'})
    for name, words in {
        "text": "is text, not a file of tensors",
        "missing": "does not exist: give shipped",
        "bare": "is no file of a magnitude spectrum",
        "other": "is no file of a magnitude spectrum",
        "odd": "is no file of a magnitude spectrum",
    }.items():
        with pytest.raises(InputError, match=words):
            MagnitudeSpectrum.load(tmp_path / f"{name}.safetensors")


def test_a_folder_is_measured_and_few_images_are_averaged_over_rings(tmp_path, monkeypatch):
    folder = written(tmp_path / "few", 3)
    few = parse_spectrum(f"folder:{folder}")
    assert few.magnitude.shape == (3, 256)
    assert few.count == 3
    monkeypatch.setattr(module, "ENOUGH", 2)
    monkeypatch.setattr(module, "MOST", 2)
    many = parse_spectrum(f"folder:{folder}")
    assert many.magnitude.shape == (3, 512, 257)
    assert many.count == 2


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("natural", "spectrum is 'natural': give shipped, folder:PATH"),
        ("folder:", "give shipped"),
        ("power:", "give a slope and a cutoff"),
        ("power:-1,cutoff=0", "give a slope and a cutoff"),
        ("power:-1,cut=.3", "give a slope and a cutoff"),
        ("folder:/nowhere/at/all", "/nowhere/at/all"),
    ],
)
def test_a_text_that_stands_for_none_is_refused(text, words):
    with pytest.raises(InputError, match=words):
        parse_spectrum(text)


def test_data_without_images_or_with_a_broken_one_are_refused():
    with pytest.raises(InputError, match="the data have no images"):
        MagnitudeSpectrum.estimate(Noisy(0), 16)
    with pytest.raises(InputError, match="picture_0001 cannot be read: the file is torn"):
        MagnitudeSpectrum.estimate(Pictures(3, broken=[1]), 16)
    with pytest.raises(InputError, match="side is 15: give an even number"):
        MagnitudeSpectrum.estimate(Noisy(1), 15)


def test_power_laws_have_their_slope_and_their_cutoff():
    assert torch.allclose(parse_spectrum("power:-1.3").slope(), torch.tensor(-1.3).double(), atol=1e-4)
    cut = parse_spectrum("power:-1.3,cutoff=.3")
    assert torch.allclose(cut.slope(0.004, 0.1), torch.tensor(-1.3).double(), atol=1e-2)
    assert cut.slope(0.4, 0.5).max() < -6
    full = MagnitudeSpectrum(parse_spectrum("power:-1.3").on_canvas(64, 64).clamp_min(1e-9))
    assert torch.allclose(full.slope(0.02, 0.5), torch.tensor(-1.3).double(), atol=1e-4)


def test_the_shipped_one_falls_as_natural_images_do():
    """The specification's slopes of luminance for 200 ImageNet images: -1.24, -1.23, -2.1 and -2.7."""
    found = parse_spectrum("shipped")
    assert found.magnitude.shape == (3, 256)
    assert found.count >= 50
    assert -1.4 < found.slope(0.004, 0.05)[0] < -1.1
    assert -1.8 < found.slope(0.05, 0.2)[0] < -1.1
    assert found.slope(0.2, 0.35).max() < -1.5
    assert (found.magnitude.diff(dim=1) < 0).double().mean() > 0.9


def test_the_card_is_that_of_the_shipped_file():
    file = resource(SHIPPED)
    card = file.with_suffix(".md").read_text(encoding="utf-8")
    content = file.read_bytes()
    assert hashlib.sha256(content).hexdigest() in card
    assert f"{len(content):,} bytes" in card
    assert "| terms of the images | ImageNet terms" in card
    assert len(content) < 5000
