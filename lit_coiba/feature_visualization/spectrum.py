"""How large each frequency of natural images is: measured on any folder of images, a power law, or read from a file.

Fel et al., "Unlocking Feature Visualization for Deeper Networks with MAgnitude Constrained Optimization", 2023 (arXiv
2306.06805): the mean magnitude of the Fourier transform over a dataset, in decorrelated colors.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from lit_coiba.core.errors import InputError, check_count
from lit_coiba.core.printable import printable
from lit_coiba.data.dataset import ImageDataset, picture_of
from lit_coiba.data.subset import limited
from lit_coiba.feature_visualization.spectrum_file import HEADER, check_magnitude, read_spectrum_file
from lit_coiba.files.tensor_file import write_safe_tensors
from lit_coiba.functional import (
    from_radial_profile,
    from_rgb,
    radial_frequencies,
    radial_profile,
    resized_spectrum,
)
from lit_coiba.resources import resource

SIDE = 512  # pixels that images are resized to, the published recipe's
BINS = SIDE // 2  # of a radial profile
ENOUGH = 50  # images whose spectrum is within a tenth (in nats) of that of 200; with fewer, it is averaged over rings
MOST = 200  # images of a folder that are measured, evenly spaced over their names
SHIPPED = "spectra/natural_images.safetensors"

_POWER = re.compile(r"power:(?P<slope>-?\d*\.?\d+)(,cutoff=(?P<cutoff>\d*\.?\d+))?")
_ORDER = 8  # of the low-pass above the cutoff of a power law
_FORMS = "shipped, folder:PATH, power:-1.3,cutoff=.3, or a file, .safetensors or .npy"


@dataclass(frozen=True, eq=False)
class MagnitudeSpectrum:
    """Magnitudes in decorrelated colors: ``(3, S, S // 2 + 1)`` in the order of ``rfft2``, or a profile ``(3, n)``.

    A profile has the magnitudes at 1/(2n), 2/(2n), ..., 1/2 cycles per pixel. Only its shape and the ratio of the
    channels matter: images are brought to one standard deviation afterwards.

    Args:
        magnitude: Magnitudes above 0, float32.
        source: What it was measured on, for people.
        count: Number of images; 0 = none, or unknown.
        preprocessing: What was done to the images; the slope is a property of it, too.

    Raises:
        InputError: The magnitudes have another shape, or are not above 0.
    """

    magnitude: Tensor
    source: str = ""
    count: int = 0
    preprocessing: str = ""

    def __post_init__(self) -> None:
        check_magnitude(self.magnitude, "magnitude")

    @classmethod
    def estimate(cls, dataset: ImageDataset, side: int = SIDE, source: str = "") -> MagnitudeSpectrum:
        """The mean magnitude over all images of a dataset, one of which is in memory at a time.

        Each is scaled to [0, 1], cropped to its central square, and resized to `side` by a bicubic filter.

        Args:
            dataset: The images; 50 suffice.
            side: S in pixels, even.
            source: See `MagnitudeSpectrum`.

        Raises:
            InputError: There are no images, one cannot be read, or S is odd.
        """
        check_count(4, side=side)
        if side % 2:
            raise InputError(f"side is {side}: give an even number of pixels")
        if not len(dataset):
            raise InputError("the data have no images: give some, of which 50 suffice")
        total = torch.zeros(3, side, side // 2 + 1, dtype=torch.float64)
        for image in _squares(dataset, side):
            total += torch.fft.rfft2(from_rgb(image)).abs()
        recipe = f"[0, 1], central square, bicubic to {side} x {side} pixels"
        return cls((total / len(dataset)).float(), source, len(dataset), recipe)

    @classmethod
    def power(cls, slope: float = -1.3, cutoff: float | None = None) -> MagnitudeSpectrum:
        """A power law, the same for the three channels.

        Args:
            slope: Exponent of the frequency.
            cutoff: Frequency in cycles per pixel above which a smooth low-pass (ours) takes it down; None = none.
        """
        frequency = torch.arange(1, BINS + 1, dtype=torch.float64) / (2 * BINS)
        values = frequency**slope
        if cutoff is not None:
            values = values / (1 + (frequency / cutoff) ** _ORDER)
        return cls((values / values[0]).float().expand(3, -1).clone(), f"power:{slope},cutoff={cutoff}")

    @classmethod
    def load(cls, file: str | Path) -> MagnitudeSpectrum:
        """Read what `save` wrote, or the array ``(3, S, S // 2 + 1)`` that the authors of MACO publish, ``.npy``.

        Raises:
            InputError: There is no such file, or it has no spectrum, or one of another shape.
        """
        magnitude, told = read_spectrum_file(file)
        return cls(magnitude, told.source, told.count, told.preprocessing)

    def save(self, file: str | Path) -> Path:
        """Write a safetensors file, which takes its name when it is complete; its folder is made.

        Raises:
            OSError: The disk is full, the folder is read-only, ...
        """
        header = {"source": self.source, "count": self.count, "preprocessing": self.preprocessing}
        return write_safe_tensors(file, {"magnitude": self.magnitude}, {HEADER: json.dumps(header)})

    def radial(self) -> MagnitudeSpectrum:
        """Its average over rings, which is small, and smooth even of few images; a profile stays as it is."""
        if self.magnitude.dim() == 2:
            return self
        return MagnitudeSpectrum(radial_profile(self.magnitude), self.source, self.count, self.preprocessing)

    def on_canvas(self, height: int, width: int) -> Tensor:
        """Magnitudes ``(3, H, W // 2 + 1)`` of a canvas of other proportions and size, 0 at the frequency 0."""
        resized = from_radial_profile if self.magnitude.dim() == 2 else resized_spectrum
        return resized(self.magnitude, height, width)

    def digest(self) -> str:
        """SHA-256 over its shape and its numbers, not over where they come from."""
        sha = hashlib.sha256(str(tuple(self.magnitude.shape)).encode())
        sha.update(self.magnitude.contiguous().numpy().tobytes())
        return sha.hexdigest()

    def slope(self, low: float = 0.004, high: float = 0.5) -> Tensor:
        """Slope of the logarithm of the magnitude over that of the frequency, by least squares over a band; ``(3,)``.

        Args:
            low: Lowest frequency in cycles per pixel.
            high: Highest frequency in cycles per pixel.
        """
        if self.magnitude.dim() == 2:
            count = self.magnitude.shape[1]
            frequency = torch.arange(1, count + 1, dtype=torch.float64) / (2 * count)
        else:
            frequency = radial_frequencies(self.magnitude.shape[1], self.magnitude.shape[1])
        band = (frequency >= low) & (frequency <= high)
        x, y = frequency[band].log(), self.magnitude.double()[:, band].log()
        x = x - x.mean()
        return ((y - y.mean(1, keepdim=True)) * x).sum(1) / x.square().sum()


def parse_spectrum(text: str) -> MagnitudeSpectrum:
    """The spectrum that a text stands for.

    Args:
        text: ``shipped``; ``folder:PATH``, measured on 200 images below it; ``power:-1.3,cutoff=.3``, see
            `MagnitudeSpectrum.power`; or a file, see `MagnitudeSpectrum.load`.

    Raises:
        InputError: It stands for none.

    Example:
        >>> parse_spectrum("power:-1").slope().round(decimals=4)
        tensor([-1., -1., -1.], dtype=torch.float64)
    """
    if text == "shipped":
        return MagnitudeSpectrum.load(resource(SHIPPED))
    kind, _, rest = text.partition(":")
    if kind == "folder" and rest:
        from lit_coiba.data.image_folder import ImageFolder  # which takes Lightning's seconds to import

        images = limited(ImageFolder(rest).dataset("predict"), MOST)
        found = MagnitudeSpectrum.estimate(images, source=rest)
        return found.radial() if found.count < ENOUGH else found
    if kind == "power":
        told = _POWER.fullmatch(text)
        if told is None or (told["cutoff"] is not None and not float(told["cutoff"]) > 0):
            raise InputError(f"spectrum is {printable(text, 80)!r}: give a slope and a cutoff, power:-1.3,cutoff=.3")
        return MagnitudeSpectrum.power(float(told["slope"]), None if told["cutoff"] is None else float(told["cutoff"]))
    if not text.endswith((".safetensors", ".npy")):
        raise InputError(f"spectrum is {printable(text, 80)!r}: give {_FORMS}")
    return MagnitudeSpectrum.load(text)


def _squares(dataset: ImageDataset, side: int) -> Iterator[Tensor]:
    """Each image as ``(3, side, side)``, fp64; resized as numbers, as rounding to bytes is noise of all frequencies."""
    for index in range(len(dataset)):
        picture = picture_of(dataset, index).convert("RGB")
        shorter = min(picture.size)
        left, top = ((length - shorter) / 2 for length in picture.size)
        box = (left, top, left + shorter, top + shorter)
        channels = [Image.fromarray(np.asarray(channel, np.float32)) for channel in picture.split()]
        resized = [channel.resize((side, side), Image.Resampling.BICUBIC, box) for channel in channels]
        yield torch.from_numpy(np.stack([np.asarray(channel, np.float64) for channel in resized]) / 255)
