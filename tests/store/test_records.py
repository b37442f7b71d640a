import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from lit_coiba.core.batch import Failure
from lit_coiba.core.errors import InputError
from lit_coiba.store.records import COLUMNS, BlockRecord, Columns, from_table, to_table
from tests.store.synthetic import record

STORED = {
    torch.float16: torch.float32,
    torch.bfloat16: torch.float32,
    torch.bool: torch.int64,
    torch.int32: torch.int64,
}


def same_bits(a: Tensor, b: Tensor) -> bool:
    """Equal type, shape and bits: NaN equals NaN, and 0.0 is not -0.0."""
    return a.dtype == b.dtype and a.shape == b.shape and a.numpy().tobytes() == b.numpy().tobytes()


def assert_same(a: BlockRecord, b: BlockRecord) -> None:
    assert (a.block, a.ids, a.failures) == (b.block, b.ids, b.failures)
    assert a.extras.keys() == b.extras.keys()
    for name in ("targets", "labels", "probabilities", "maps"):
        assert same_bits(getattr(a, name), getattr(b, name)), name
    for name in a.extras:
        assert same_bits(a.extras[name], b.extras[name]), name


@st.composite
def tensors(draw: st.DrawFn, shape: tuple[int, ...], dtype: torch.dtype) -> Tensor:
    count = torch.Size(shape).numel()
    if dtype == torch.int64:
        number: st.SearchStrategy[float] = st.integers(-(2**63), 2**63 - 1)
    else:
        number = st.floats(width=32 if dtype == torch.float32 else 64)
    return torch.tensor(draw(st.lists(number, min_size=count, max_size=count)), dtype=dtype).reshape(shape)


@st.composite
def records(draw: st.DrawFn) -> BlockRecord:
    """Any record: untrusted ids, several targets, extras of any name, shape and type, failures."""
    keys = draw(st.lists(st.tuples(st.text(max_size=12), st.integers(0, 3)), max_size=5, unique=True))
    rows, small = len(keys), st.integers(0 if keys else 1, 3)
    height, width = (draw(small), draw(small)) if keys else (0, 0)
    names = draw(st.lists(st.text(max_size=5).filter(lambda name: name not in COLUMNS), max_size=3, unique=True))
    types = st.sampled_from([torch.float32, torch.float64, torch.int64])
    return BlockRecord(
        draw(st.integers(0, 10**7)),
        tuple(sample for sample, _ in keys),
        torch.tensor([target for _, target in keys], dtype=torch.int64),
        torch.tensor(draw(st.lists(st.integers(-1, 999), min_size=rows, max_size=rows)), dtype=torch.int64),
        draw(tensors((rows,), torch.float32)),
        draw(tensors((rows, height, width), torch.float32)),
        {name: draw(tensors((rows, *draw(st.lists(small, max_size=2))), draw(types))) for name in sorted(names)},
        tuple(Failure(*pair) for pair in draw(st.lists(st.tuples(st.text(max_size=8), st.text()), max_size=2))),
    )


@settings(max_examples=30, deadline=None)
@given(records())
def test_any_record_survives_exactly(made: BlockRecord) -> None:
    assert_same(from_table(to_table(made), made.block), made)


def test_columns_and_types_of_the_table() -> None:
    table = to_table(record(0, [0, 1], failed=[2]))
    assert table.column_names == [
        *("id", "label", "target", "probability", "height", "width", "map"),
        *("bits", "per_layer", "step", "error"),
    ]
    assert {field.name: str(field.type) for field in table.schema} == {
        "id": "string",
        "label": "int32",
        "target": "int32",
        "probability": "float",
        "height": "int32",
        "width": "int32",
        "map": "list<item: float>",
        "bits": "float",
        "per_layer": "list<item: double>",
        "step": "int64",
        "error": "string",
    }
    assert table.schema.field("per_layer").metadata == {b"shape": b"[2, 3]"}


def test_no_label_and_failures_are_null() -> None:
    rows = to_table(record(0, [0, 1], failed=[2])).to_pylist()
    assert [row["label"] for row in rows] == [None, 0, None]
    assert [row["error"] for row in rows] == [None, None, "sample 2 is truncated"]
    assert rows[2]["id"] == "class/00002.png"
    assert all(rows[2][name] is None for name in rows[2].keys() - {"id", "error"})


def test_a_block_of_failures_only() -> None:
    made = record(4, [], failed=[1, 2])
    table = to_table(made)
    assert len(Columns(table)) == 0
    assert from_table(table, 4).failures == made.failures
    assert from_table(table, 4).extras["per_layer"].shape == (0, 2, 3)


@pytest.mark.parametrize(("given_type", "stored"), STORED.items(), ids=str)
def test_small_types_are_widened_without_loss(given_type: torch.dtype, stored: torch.dtype) -> None:
    values = torch.tensor([0, 1]).to(given_type)
    made = record(0, [0, 1])._replace(extras={"x": values})
    assert same_bits(from_table(to_table(made), 0).extras["x"], values.to(stored))


def test_a_row_owns_its_tensors() -> None:
    columns = Columns(to_table(record(0, [0, 1])))
    row = columns.row(1)
    row.map.zero_()
    row.extras["bits"].zero_()
    row.extras["per_layer"].zero_()
    again, expected = columns.row(1), record(0, [0, 1])
    assert torch.equal(again.map, expected.maps[1])
    assert torch.equal(again.extras["bits"], expected.extras["bits"][1])
    assert torch.equal(again.extras["per_layer"], expected.extras["per_layer"][1])
    assert (again.id, again.label, again.target) == (expected.ids[1], 0, 1)
    assert again.probability == expected.probabilities[1].item()


def test_the_record_is_left_as_it_was() -> None:
    made = record(0, [0, 1])
    made.maps.requires_grad_()
    to_table(made)
    assert made.maps.requires_grad
    assert torch.equal(made.maps, record(0, [0, 1]).maps)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"maps": torch.zeros(2, 4)}, r"block 3: maps have shape \(2, 4\): give \(rows, height, width\)"),
        ({"maps": torch.zeros(3, 2, 2)}, r"block 3: maps has shape \(3, 2, 2\), but there are 2 ids"),
        ({"targets": torch.zeros(2, 1)}, r"targets have shape \(2, 1\)"),
        ({"labels": torch.zeros(1)}, r"labels has shape \(1,\), but there are 2 ids"),
        ({"extras": {"bits": torch.tensor(1.0)}}, r"bits has shape \(\), but there are 2 ids"),
        ({"extras": {"map": torch.zeros(2)}}, r"an extra cannot be called 'map'"),
        ({"extras": {"z": torch.zeros(2, dtype=torch.complex64)}}, r"extra 'z' is torch.complex64"),
        ({"ids": ("a", "a"), "targets": torch.tensor([1, 1])}, r"'a' for target 1 comes 2 times"),
        ({"ids": ("a", "bad\udcff")}, r"'bad\\udcff' is not valid Unicode text .*: rename the file"),
    ],
)
def test_parts_that_do_not_fit_are_named(change: dict, message: str) -> None:
    with pytest.raises(InputError, match=message):
        to_table(record(3, [0, 1])._replace(**change))
