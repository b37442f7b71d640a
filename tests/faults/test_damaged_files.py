"""Files of ours that are damaged: statistics, caches, prototypes, evaluations, stores; configurations without end."""

from __future__ import annotations

import json
import os
import shutil
import warnings
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from benchmarks.fuzz import kinds
from lit_coiba.benchmark.keys import finest_grid
from lit_coiba.bottlenecks import ActivationStatistics
from lit_coiba.cli.parsing.config_files import read_configs
from lit_coiba.core.errors import InputError
from lit_coiba.prototypes import Prototypes
from lit_coiba.store import ExplanationStore, Manifest
from lit_coiba.training.feature_file import is_whole, opened


@pytest.fixture(scope="module")
def sound(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("sound")
    makers = {
        "statistics": kinds.make_statistics,
        "cache": kinds.make_cache,
        "prototypes": kinds.make_prototypes,
        "stores": kinds.make_store,
        "evaluation": kinds.make_evaluation,
    }
    for name, make in makers.items():
        (folder / name).mkdir()
        make(folder / name)
    return folder


@pytest.fixture
def files(sound, tmp_path) -> Path:
    return Path(shutil.copytree(sound, tmp_path / "files"))


def flipped(file: Path, at: int) -> None:
    content = bytearray(file.read_bytes())
    content[at] ^= 4
    file.write_bytes(content)


class TestStatistics:
    @pytest.mark.parametrize("place", [0.2, 0.5, 0.99])
    def test_a_flipped_bit(self, files, place):
        file = files / "statistics" / "s.safetensors"
        flipped(file, int(place * file.stat().st_size))
        with pytest.raises(InputError, match="statistics: "):
            ActivationStatistics.load(file)

    @pytest.mark.parametrize(
        "change",
        [lambda t: -t - 1, lambda t: t[..., None], lambda t: t.half(), lambda t: t * float("nan"), lambda t: t.int()],
        ids=["negative", "another shape", "another dtype", "NaN", "whole numbers"],
    )
    def test_numbers_that_no_estimate_gives(self, files, change):
        from safetensors import safe_open

        file = files / "statistics" / "s.safetensors"
        with safe_open(file, framework="pt") as opened_file:
            metadata = opened_file.metadata()
        tensors = load_file(file)
        tensors["std/layer2"] = change(tensors["std/layer2"]).contiguous()
        save_file(tensors, file, metadata)
        with pytest.raises(InputError, match=r"was not written by this version|is damaged"):
            ActivationStatistics.load(file)

    def test_a_file_without_a_digest_opens_and_says_what_is_not_known(self, files):
        from safetensors import safe_open

        file = files / "statistics" / "s.safetensors"
        with safe_open(file, framework="pt") as opened_file:
            metadata = opened_file.metadata()
        found = ActivationStatistics.load(file)
        del metadata["lit_coiba.digest"]
        save_file(load_file(file), file, metadata)
        with pytest.warns(UserWarning, match="carries no digest"):
            assert ActivationStatistics.load(file).digest() == found.digest()


class TestCache:
    @pytest.mark.parametrize("name", ["key.npy", "key.targets.npy"])
    @pytest.mark.parametrize("damage", ["cut", "empty", "text", "shape", "dtype", "order", "bit", "pipe"])
    def test_what_is_not_whole_is_made_again(self, files, name, damage):
        file = files / "cache" / name
        array = np.load(file)
        content = file.read_bytes()
        if damage in ("cut", "empty", "text"):
            file.write_bytes({"cut": content[:-3], "empty": b"", "text": b"hello"}[damage])
        elif damage in ("shape", "dtype"):
            np.save(file, array[:, :-1] if damage == "shape" else array.astype(str))
        elif damage == "order":  # of the bytes of each number
            np.save(file, array.astype(array.dtype.newbyteorder(">")))
        elif damage == "pipe":
            file.unlink()
            os.mkfifo(file)
        else:
            flipped(file, len(content) - 1)
        with pytest.warns(UserWarning, match="is damaged and is made again"):
            assert not is_whole(files / "cache" / "key.npy", 1, 6)

    def test_between_the_look_and_the_fit(self, files):
        (files / "cache" / "key.npy").write_bytes(b"")
        with pytest.raises(InputError, match=r"cache: .*key.npy cannot be used"):
            opened(files / "cache" / "key.npy", 1, 6)

    def test_one_without_digests_is_taken_with_a_word(self, files):
        (files / "cache" / "key.sha256.json").unlink()
        with pytest.warns(UserWarning, match="carries no digest"):
            assert is_whole(files / "cache" / "key.npy", 1, 6)


class TestPrototypes:
    def test_every_flipped_bit_of_the_table_is_one_sentence(self, files):
        file = files / "prototypes" / "prototypes.parquet"
        whole = file.read_bytes()
        for at in range(0, len(whole), len(whole) // 40):
            file.write_bytes(whole)
            flipped(file, at)
            with pytest.raises(InputError, match=r"prototypes in .* cannot be read"):
                Prototypes(files / "prototypes")

    @pytest.mark.parametrize(
        "change",
        [
            {"own": None},
            {"users": [[[0, 1.0]]]},
            {"classes": [1, 2, 3]},
            {"classes": ["x" * 10**6, "b", "c"]},
            {"importance": []},
            {"dead": [99]},
            {"duplicate": [[0]]},
            {"units": 10**12},
            {"sides": "two"},
            {"own": [[[99, 1.0]]]},
        ],
        ids=str,
    )
    @pytest.mark.filterwarnings("ignore:.*carries no digest")
    def test_a_summary_that_says_something_else(self, files, change):
        file = files / "prototypes" / "prototypes.json"
        told = json.loads(file.read_text())
        for digest in ("sha256", "table"):  # as a file of version 0.1.0: nothing but its content can be looked at
            del told[digest]
        file.write_text(json.dumps({**told, **change}))
        with pytest.raises(InputError, match="cannot be read") as caught:
            Prototypes(files / "prototypes")
        assert len(str(caught.value)) < 500
        file.write_text(json.dumps({name: value for name, value in told.items() if name not in change}))
        with pytest.raises(InputError, match="cannot be read"):
            Prototypes(files / "prototypes")


@pytest.mark.parametrize("content", ["", "[", "[]", "null", '{"of": "i"', '{"of": 3}', "[" * 100_000])
def test_an_evaluation_that_is_damaged_is_made_again(files, content):
    from lit_coiba.trainer.prototypes import _measured

    assert _measured(files / "evaluation", "i")
    (files / "evaluation" / "evaluation.json").write_text(content)
    assert not _measured(files / "evaluation", "i")


def test_a_page_of_an_evaluation_that_was_changed_is_made_again(files):
    from lit_coiba.trainer.prototypes import _measured

    (files / "evaluation" / "evaluation.md").write_text("| consistency | 0.99 |\n")
    assert not _measured(files / "evaluation", "i")


@pytest.mark.parametrize(
    "content",
    [
        "[" * 100_000,
        '{"a":' * 100_000,
        "",
        "[]",
        '{"schema_version": 1}',
        '{"schema_version": "1"}',
        "\x1b",
        "1" * 5000,
    ],
)
def test_a_manifest_that_is_something_else(files, content):
    (files / "stores" / "one" / "manifest.json").write_text(content)
    with pytest.raises(InputError) as caught:
        ExplanationStore(files / "stores" / "one")
    assert len(str(caught.value)) < 500
    assert str(caught.value).isprintable()


@pytest.mark.parametrize(
    "change", [[1], {"samples": "many"}, {"ids": [1]}, {"method": 3}, {"block_size": None}], ids=str
)
def test_an_identity_of_other_types(files, change):
    file = files / "stores" / "one" / "manifest.json"
    told = json.loads(file.read_text())
    told["identity"] = {**told["identity"], **change} if isinstance(change, dict) else change
    file.write_text(json.dumps(told))
    with pytest.raises(InputError, match="is damaged"):
        Manifest.load(file.parent)


class TestBlocks:
    @pytest.mark.parametrize("kind", ["pipe", "loop", "folder", "empty", "device"])
    @pytest.mark.filterwarnings("ignore:.*truncated or belongs")
    def test_what_is_no_regular_file_counts_as_torn(self, files, kind):
        file = files / "stores" / "one" / "blocks" / "000001.parquet"
        file.unlink()
        if kind == "pipe":
            os.mkfifo(file)
        elif kind == "loop":
            file.symlink_to(file.name)
        elif kind == "device":
            file.symlink_to("/dev/zero")
        else:
            file.mkdir() if kind == "folder" else file.write_bytes(b"")
        store = ExplanationStore(files / "stores" / "one")
        assert store.missing(3) == [1]
        assert len(list(store)) == 6

    @pytest.mark.parametrize("column", ["id", "target"])
    def test_a_row_without_a_key_counts_as_torn(self, files, column):
        import pyarrow as pa
        import pyarrow.parquet as pq

        file = files / "stores" / "one" / "blocks" / "000001.parquet"
        table = pq.read_table(file)
        at, field = table.column_names.index(column), table.schema.field(column)
        pq.write_table(table.set_column(at, field, pa.array([*table[column].to_pylist()[:-1], None], field.type)), file)
        with pytest.warns(UserWarning, match="no id or no target"):
            assert ExplanationStore(files / "stores" / "one").missing(3) == [1]

    def test_many_torn_blocks_are_one_warning(self, files):
        blocks = files / "stores" / "one" / "blocks"
        for number in range(200):
            (blocks / f"{number:06d}.parquet").write_bytes(b"torn")
        store = ExplanationStore(files / "stores" / "one")
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            assert len(store.missing(200)) == 200
        (one,) = [str(warning.message) for warning in caught]
        assert "and 199 more files like it" in one

    @pytest.mark.filterwarnings("ignore:.*truncated or belongs")
    def test_a_store_whose_only_map_is_torn_is_one_sentence(self, files):
        folder = files / "stores" / "one"
        for name in ("000001.parquet", "000002.parquet"):
            (folder / "blocks" / name).unlink()
        file = folder / "blocks" / "000000.parquet"
        content = file.read_bytes()
        file.write_bytes(content[:300] + bytes(100) + content[400:])
        with pytest.raises(InputError, match="has no explanation that can be read"):
            finest_grid([ExplanationStore(folder)])

    @pytest.mark.filterwarnings("ignore:.*truncated or belongs")
    @pytest.mark.parametrize("column", ["height", "probability", "target"])
    def test_sizes_and_numbers_that_make_no_sense(self, files, column):
        import pyarrow as pa
        import pyarrow.parquet as pq

        folder = files / "stores" / "one"
        for file in sorted((folder / "blocks").iterdir()):
            table = pq.read_table(file)
            field = table.schema.field(column)
            rows = len(table)
            values = {"height": [-4] * rows, "probability": [None] * rows, "target": [None] * rows}[column]
            place = table.column_names.index(column)
            table = table.set_column(place, field, pa.array(values, field.type))
            if column == "height":
                table = table.set_column(
                    table.column_names.index("width"), table.schema.field("width"), table["height"]
                )
            pq.write_table(table, file)
        with pytest.raises(InputError, match="has no explanation that can be read"):
            finest_grid([ExplanationStore(folder)])


BOMB = "a0: &a0 {x: 1, y: 2}\n" + "".join(
    f"a{k}: &a{k} {{{', '.join(f'k{n}: *a{k - 1}' for n in range(9))}}}\n" for k in range(1, 8)
)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (BOMB, "becomes more than 20,000 values by its aliases"),
        ("data: &a {init_args: *a}", "an anchor that contains itself"),
        ("a: " + "[" * 5000, "nest"),
        ("limit: " + "1" * 5000, "a number of 5,000 digits"),
        ("a: " + "x" * 300_000, "more than 256 KB, which is refused"),
        ("a: 2001-99-99\nb: 1:99:99", ""),
        ("? [1, 2]\n: 3", "YAML syntax|keys are text|cannot be read"),
        ("3: 4", "has the key 3, but keys are text"),
        ("a: \x1b]0;x", "YAML syntax|is not YAML"),
    ],
)
def test_a_configuration_without_end(tmp_path, monkeypatch, text, said):
    monkeypatch.chdir(tmp_path)
    Path("c.yaml").write_text(text)
    if not said:
        read_configs(["-c", "c.yaml"], {})
        return
    with pytest.raises(InputError, match=said) as caught:
        read_configs(["-c", "c.yaml"], {})
    assert str(caught.value).isprintable()
    assert len(str(caught.value)) < 500


@pytest.mark.parametrize("name", ["~nosuchuser/x.yaml", "x" * 300, "a\0b", "pipe", "loop.yaml"])
def test_a_configuration_that_is_no_file(tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    os.mkfifo("pipe")
    os.symlink("loop.yaml", "loop.yaml")
    with pytest.raises(InputError, match=r"does not exist|cannot be read"):
        read_configs(["-c", name], {})


def test_masks_of_another_kind(tmp_path):
    from lit_coiba.attribution import EVA

    for content in ([1], {"a": 1}, torch.ones(2, 2, 2).bool().to_sparse(), torch.ones(2, 2, 2), "x"):
        torch.save(content, tmp_path / "m.pt")
        with pytest.raises(InputError, match="masks"):
            EVA(0.1, None, masks=str(tmp_path / "m.pt"))._regions(torch.zeros(1, 3, 2, 2))
