"""Radii in the table of predictions; tests/faults/test_predict.py has what else is in it."""

import csv

import pyarrow.parquet as pq
import pytest
import torch

from lit_coiba import Classifier
from lit_coiba.lipschitz import Certificate
from tests._testers import lipschitz as small
from tests._testers import tiny
from tests._testers.runs import SIZE, NoiseData, make_trainer


@pytest.fixture(scope="module")
def network():
    return small.constrained(classes=10, size=SIZE)


def predict(network, file=None, **arguments):
    trainer = make_trainer(**arguments)
    data = NoiseData(9, 4)
    trainer.predict(Classifier(network), datamodule=data, output=None if file is None else str(file), top=3)
    return trainer.predictions, data


def margins(network, data):
    """Half of what the two largest logits differ by: the radius of a network whose logits are 1-Lipschitz each."""
    images = torch.stack([data.transform(data.explained.image(k)) for k in range(9)])
    with torch.no_grad():
        top = network(images).topk(2).values
    return (top[:, 0] - top[:, 1]) / 2


def test_each_decision_has_its_radius(network, tmp_path):
    table, data = predict(network, tmp_path / "table.csv")
    found = torch.tensor([row.radius for row in table.rows])
    assert (found >= margins(network, data) * (1 - 1e-5)).all()  # that of the rows is the tightest
    with torch.no_grad():
        logits = network(torch.stack([data.transform(data.explained.image(k)) for k in range(9)]))
    torch.testing.assert_close(found, Certificate.of(network).radius(logits), rtol=1e-5, atol=1e-7)
    rows = list(csv.DictReader((tmp_path / "table.csv").read_text().splitlines()))
    assert [float(row["radius"]) for row in rows] == [row.radius for row in table.rows]
    predict(network, tmp_path / "table.csv")  # it is known again as ours
    predict(network, tmp_path / "table.parquet")
    assert pq.read_table(tmp_path / "table.parquet")["radius"].to_pylist() == [row.radius for row in table.rows]
    right = [row.label == row.classes[0] for row in table.rows]
    assert table.certified().accuracies[0] == sum(r and v > 36 / 255 for r, v in zip(right, found.tolist())) / 9


def test_a_decision_of_bf16_has_no_radius_where_full_precision_decides_otherwise():
    """Two classes 1e-4 apart tie in bf16, and the one that it takes is right by full precision once of two times."""
    twins, agreed = small.constrained(classes=10, size=SIZE), []
    for better in (0, 1):
        with torch.no_grad():
            twins.model.fc.weight[1] = twins.model.fc.weight[0]
            twins.model.fc.bias[:] = torch.tensor([5.0, 5.0] + [0.0] * 8)
            twins.model.fc.bias[better] += 1e-4
        full, half = (predict(twins, precision=precision)[0].rows for precision in ("32-true", "bf16-mixed"))
        assert {row.classes[0] for row in full} == {better}
        assert all(row.radius > 0 for row in full)
        (taken,) = {row.classes[0] for row in half}
        agreed.append(taken == better)
        assert [row.radius for row in half] == [row.radius if taken == better else 0.0 for row in full]
    assert sorted(agreed) == [False, True]


def test_other_models_have_no_such_column(tmp_path):
    table, _ = predict(tiny.vit(), tmp_path / "table.csv")
    assert table.certified() is None
    assert "radius" not in (tmp_path / "table.csv").read_text()
