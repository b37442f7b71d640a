import json
from pathlib import Path

import pytest

from lit_coiba.core.errors import InputError
from lit_coiba.store.manifest import FILE_NAME, Manifest
from tests.store.synthetic import manifest


def test_survives_the_trip_to_disk(tmp_path: Path) -> None:
    made = Manifest(
        {"method": {"layers": ("blocks.4", "blocks.5"), "lr": 0.1, "seed": None}}, {"torch": "2.5", "workers": 2}
    )
    made.save(tmp_path)
    assert Manifest.load(tmp_path) == made
    assert Manifest.load(tmp_path).digest == made.digest


def test_is_plain_json_with_a_version(tmp_path: Path) -> None:
    manifest(ids="héllo\n").save(tmp_path)
    content = json.loads((tmp_path / FILE_NAME).read_text("ascii"))
    assert content["schema_version"] == 1
    assert content["identity"]["ids"] == "héllo\n"


def test_digest_follows_the_identity_only() -> None:
    assert Manifest({"a": 1, "b": 2}, {"devices": 1}).digest == Manifest({"b": 2, "a": 1}, {"devices": 8}).digest
    assert Manifest({"a": 1}).digest != Manifest({"a": 2}).digest


def test_names_every_difference_with_both_values() -> None:
    old = manifest(targets="predicted", statistics="f00d")
    new = manifest(targets="predicted", seed=1, method={"class": "CoIBA", "steps": 20, "beta": 2.0})
    assert old.differences(new) == [
        "method.steps 10 -> 20",
        "seed 0 -> 1",
        'statistics "f00d" -> (absent)',
        "method.beta (absent) -> 2.0",
    ]
    assert old.differences(manifest(targets="predicted", statistics="f00d")) == []


def test_refusal_says_what_differs_and_what_to_do() -> None:
    with pytest.raises(InputError) as refused:
        manifest().check(manifest(seed=1), Path("runs/x"))
    assert str(refused.value) == (
        "store runs/x was made with other arguments (old -> new): seed 0 -> 1; "
        "choose another folder, or repeat the original arguments"
    )


def test_long_values_are_cut_around_the_difference() -> None:
    layers = [f"blocks.{number}" for number in range(60)]
    (difference,) = Manifest({"layers": layers}).differences(Manifest({"layers": [*layers[:50], "norm"]}))
    old, new = difference.removeprefix("layers ").split(" -> ")
    assert "blocks.50" in old
    assert "norm" in new
    assert len(difference) < 150


def test_many_differences_are_counted() -> None:
    with pytest.raises(InputError, match=r"a7 1 -> 2, and 12 more; choose"):
        Manifest({f"a{n}": 1 for n in range(20)}).check(Manifest({f"a{n}": 2 for n in range(20)}), Path("x"))


@pytest.mark.parametrize("value", [float("nan"), float("inf"), Path("x"), {1, 2}, object()])
def test_refuses_what_json_cannot_say_by_name(value: object) -> None:
    with pytest.raises(InputError, match=r"identity\.method\.layers\[1\]"):
        Manifest({"method": {"layers": ["a", value]}})


def test_damaged_manifest_is_one_sentence(tmp_path: Path) -> None:
    manifest().save(tmp_path)
    path = tmp_path / FILE_NAME
    whole = path.read_text()
    for content in (whole[: len(whole) // 2], "[]", "{}", '{"schema_version": 1, "surprise": 2}'):
        path.write_text(content)
        with pytest.raises(InputError, match=r"manifest\.json is damaged .* another folder"):
            Manifest.load(tmp_path)


def test_newer_schema_is_refused(tmp_path: Path) -> None:
    Manifest({"seed": 0}, schema_version=2).save(tmp_path)
    with pytest.raises(InputError, match="schema version 2, and this version of lit-coiba reads 1"):
        Manifest.load(tmp_path)
