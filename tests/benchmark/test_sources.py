"""What is compared, and on which samples."""

import pytest
import torch

from lit_coiba.benchmark import RegionSource, StoreSource, common_keys, finest_grid, names_of
from lit_coiba.core.errors import InputError
from lit_coiba.store import BlockRecord, ExplanationStore, Manifest


def store(folder, keys):
    """Maps that are filled with 10 x the row's number plus the target."""
    made = ExplanationStore.open(folder, Manifest({"folder": folder.name}))
    targets = torch.tensor([target for _, target in keys])
    values = 10.0 * torch.arange(len(keys)) + targets
    maps = values[:, None, None].expand(-1, 2, 3)
    made.write(BlockRecord(0, tuple(name for name, _ in keys), targets, targets, values / 100, maps, {}))
    return made


def test_what_all_stores_explain_is_scored(tmp_path):
    one = store(tmp_path / "one", [("a", 1), ("a", 2), ("b", 1), ("c", 3)])
    two = store(tmp_path / "two", [("a", 2), ("a", 1), ("b", 2), ("c", 3), ("d", 1)])
    with pytest.warns(
        UserWarning,
        match="3 explanations compared, others of 2 images left out, such as b .class 1.: they are not in all",
    ):
        assert common_keys([one, two], ["a", "b", "c", "d"]) == {"a": [1, 2], "c": [3]}
    with pytest.warns(UserWarning, match="1 explanation compared, others of 1 image left out"):
        assert common_keys([one, two], ["b", "c"]) == {"c": [3]}
    assert common_keys([one], ["b"]) == {"b": [1]}
    with pytest.raises(InputError, match=r"one, .*two: no explanation is of the data.s images and of the same class"):
        common_keys([one, two], ["b", "d"])


def test_maps_come_from_the_row_of_their_id_and_target(tmp_path):
    made = store(tmp_path / "one", [("a", 1), ("a", 2), ("b", 1)])
    source = StoreSource(made, {"a": [1, 2], "b": [1]})
    maps = source.maps(None, torch.zeros(3, 3, 8, 8), ["b", "a", "a"], torch.tensor([1, 2, 1]))
    assert maps[:, 0, 0].tolist() == [21.0, 12.0, 1.0]
    assert (source.targets("a"), source.targets("z")) == ([1, 2], [])
    assert finest_grid([made]) == (2, 3)


def test_the_finest_grid_is_the_oracles(tmp_path):
    coarse, fine = store(tmp_path / "coarse", [("a", 1)]), ExplanationStore.open(tmp_path / "fine", Manifest({}))
    one = torch.ones(1, dtype=torch.long)
    fine.write(BlockRecord(0, ("a",), one, one, one / 2, torch.ones(1, 4, 2), {}))
    assert finest_grid([coarse, fine]) == finest_grid([fine, coarse]) == (4, 2)


def test_the_oracle_is_the_share_of_each_cell():
    class Left:
        def of(self, sample):
            mask = torch.zeros(4, 8, dtype=torch.bool)
            mask[:, :3] = True
            return mask if sample == "known" else None

    maps = RegionSource(Left(), {}, (2, 4)).maps(None, torch.zeros(2, 3, 4, 8), ["known", "other"], torch.zeros(2))
    assert maps[0].tolist() == [[1.0, 0.5, 0.0, 0.0]] * 2
    assert maps[1].isnan().all()


def test_stores_are_called_by_their_folder(tmp_path):
    assert names_of(["runs/coiba", "runs/iba/"]) == {"coiba": "runs/coiba", "iba": "runs/iba/"}
    assert names_of(["a/x", "b/x"]) == {"a-x": "a/x", "b-x": "b/x"}
    with pytest.raises(InputError, match="names a folder twice"):
        names_of(["a", "a"])
    with pytest.raises(InputError, match="give at least one folder"):
        names_of([])
