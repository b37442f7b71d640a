"""Files of readouts: what comes back, what is damaged or of something else."""

import msgspec
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from lit_coiba.attribution import ReadoutCoIBA, ReadoutIBA
from lit_coiba.bottlenecks.readout.trained_readout import HEADER, TrainedReadout
from lit_coiba.core.errors import InputError
from tests._testers import readouts, tiny


def test_a_file_gives_back_what_was_saved_and_has_the_digest_of_its_content(tmp_path):
    made = readouts.untrained(tiny.resnet())
    made.save(tmp_path / "one.safetensors")
    found = TrainedReadout.load(tmp_path / "one.safetensors")
    assert found.about == made.about
    assert found.digest() == made.digest()
    assert all(torch.equal(found.weights[name], part) for name, part in made.weights.items())
    one, other = ReadoutCoIBA(str(tmp_path / "one.safetensors")), tmp_path / "copy.safetensors"
    found.save(other)
    assert one.identity() == ReadoutCoIBA(str(other)).identity()
    weights = {name: part + 1 for name, part in made.weights.items()}
    TrainedReadout(made.about, weights, made.statistics).save(other)
    assert one.identity() != ReadoutCoIBA(str(other)).identity()


def damaged(folder, change):
    file = folder / "damaged.safetensors"
    readouts.untrained(tiny.vit()).save(file)

    with safe_open(file, framework="pt") as opened:
        metadata = opened.metadata()
    tensors = load_file(file)
    change(tensors, metadata)
    save_file(tensors, file, metadata)
    return str(file)


def other_header(**fields):
    def change(tensors, metadata):
        told = msgspec.json.decode(metadata[HEADER])
        metadata[HEADER] = msgspec.json.encode({**told, **fields}).decode()

    return change


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda tensors, _: tensors["readout/mix.weight"].mul_(2), "is damaged, since its content is not what its"),
        (lambda tensors, _: tensors["readout/mix.weight"].fill_(torch.nan), "numbers that are not finite"),
        (lambda tensors, _: tensors.pop("statistics/mean/blocks.2.norm1"), "was not written by this version"),
        (lambda tensors, metadata: metadata.pop(HEADER), "was not written by this version"),
        (lambda tensors, _: tensors.update(more=torch.ones(1)), "tensors that belong to nothing"),
        (other_header(kind="other"), "was not written by this version"),
        (other_header(min_std=-1.0), "was not written by this version"),
        (other_header(read=["blocks.5.norm1"]), "does not read its first bottleneck layer first"),
        (other_header(layers=["norm"], read=["norm"]), "no statistics of layer norm"),
    ],
)
def test_a_file_that_no_fit_gives_is_refused_in_one_sentence(change, message, tmp_path):
    file = damaged(tmp_path, change)
    with pytest.raises(InputError, match=message) as refusal:
        TrainedReadout.load(file)
    assert "\n" not in str(refusal.value)


def test_a_readout_of_something_else_is_refused_by_name(tmp_path):
    model, images = tiny.vit(), tiny.images(2, (32, 32))
    file = readouts.saved(model, tmp_path)
    with pytest.raises(InputError, match="readout does_not_exist does not exist: train one with lit-coiba fit"):
        ReadoutCoIBA("does_not_exist").attribute(model, images)
    with pytest.raises(InputError, match="is one of Readout CoIBA, not of Readout IBA"):
        ReadoutIBA(file).attribute(model, images)
    with pytest.raises(InputError, match="was trained for another model or other weights"):
        ReadoutCoIBA(file).attribute(tiny.resnet(), tiny.images(2, (64, 64)))
    other = tiny.vit()
    object.__setattr__(other.preprocessing, "mean", (0.1, 0.2, 0.3))
    with pytest.raises(InputError, match="was trained with another preprocessing"):
        ReadoutCoIBA(file).attribute(other, images)
    readout = TrainedReadout.load(file)
    about = msgspec.structs.replace(readout.about, width=64)
    TrainedReadout(about, readout.weights, readout.statistics).save(tmp_path / "narrow.safetensors")
    with pytest.raises(InputError, match="has other tensors than its header says"):
        ReadoutCoIBA(str(tmp_path / "narrow.safetensors")).attribute(model, images)
