"""Pictures of noise, and a folder of the importance maps of three people for each."""

import numpy as np
from PIL import Image

SIZE = (20, 24)


def save_maps_of_people(folder):
    """Two pictures in ``images`` below `folder`, and their maps in ``maps``."""
    draw = np.random.default_rng(0)
    (folder / "images").mkdir()
    for name in ("a", "b"):
        Image.fromarray(draw.integers(0, 255, (*SIZE, 3), dtype=np.uint8)).save(folder / f"images/{name}.png")
        (folder / f"maps/{name}").mkdir(parents=True)
        for person in range(3):
            np.save(folder / f"maps/{name}/{person}.npy", draw.random(SIZE, dtype=np.float32))
    return folder
