"""The report of the demo: models that were explained by different methods are drawn side by side."""

from types import SimpleNamespace

import torch
from PIL import Image

from lit_coiba.demo import report
from lit_coiba.pictures import comparison


def explained(model, methods):
    """A model on one image, by some methods, as far as the picture looks."""
    row = SimpleNamespace(target=0, probability=0.5, map=torch.rand(4, 4))

    class Store(dict):
        def ids(self):
            return list(self)

    return SimpleNamespace(
        model=model,
        stores={method: Store(a=row) for method in methods},
        board=None,
        dataset=SimpleNamespace(ids=["a"], classes=["bird"], image=lambda index: None),
        transform=SimpleNamespace(pixels=lambda image: torch.zeros(3, 16, 16, dtype=torch.uint8)),
    )


def test_a_method_that_one_model_lacks_is_left_out_of_the_picture(tmp_path, monkeypatch):
    drawn = []
    monkeypatch.setattr(
        report, "comparison", lambda examples, file: drawn.extend(examples) or comparison(examples, file)
    )
    models = [explained("CNN", ["CoIBA", "ReadoutCoIBA", "Random"]), explained("photographs", ["CoIBA", "Random"])]
    file = report.side_by_side(models, tmp_path / "demo.png")
    assert [list(example.maps) for example in drawn] == [["CoIBA", "Random"]] * 2
    with Image.open(file) as picture:
        assert picture.size[0] > 3 * picture.size[1] / 4  # three columns, two rows
