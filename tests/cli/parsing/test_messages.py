"""Every way to mistype a command: one sentence, with what was meant where that can be guessed."""

from __future__ import annotations

from pathlib import Path

import pytest

from lit_coiba.cli.parsing.messages import one_line
from lit_coiba.core.errors import InputError
from lit_coiba.core.near_names import did_you_mean

CASES = {
    # misspelt keys, on the command line and in a file
    "--modle.x 3": "unknown key modle.x: did you mean model?",
    "--model.targetz 3": "unknown key model.targetz: did you mean model.targets?",
    "--model.method.copiez 3": "unknown key model.method.copiez: did you mean model.method.copies?",
    "--model.method.zebra 3": "unknown key model.method.zebra: model.method has layers, statistics, steps, copies,",
    "--model.backbone.nam x": "unknown key model.backbone.nam: did you mean model.backbone.name?",
    "--data.rooot x": "unknown key data.rooot: did you mean data.root?",
    "--trainer.max_epoch 3": "unknown key trainer.max_epoch: did you mean trainer.max_epochs or",
    "--zebra 3": "unknown key zebra (lit-coiba explain --help lists the keys)",
    "zebra": "zebra is not --KEY VALUE",
    "-c {trainer: {max_epoch: 3}}": "unknown key trainer.max_epoch in {trainer: {max_epoch: 3}}: did you mean",
    "-c key.yaml": "unknown key model.methd in key.yaml: did you mean model.method?",
    "-c nested.yaml": "unknown key model.method.copiez in nested.yaml: did you mean model.method.copies?",
    "-c beside.yaml": "model.method: the arguments of a class belong under init_args, beside class_path",
    # what must be given
    "--store=": "--store is empty: give a value (a variable of the shell may not be set)",
    # values
    "--model.method.copies many": "--model.method.copies expects an integer, got 'many' (Number",
    "--model.method.information second": "--model.method.information expects first or mean, got 'second' (",
    "--limit x": "--limit expects an integer, or null, got 'x' (Number of images to explain)",
    "--data.split x": "--data.split expects train or val or test, or null, got 'x' (Split to explain)",
    "--model.backbone.image_size big": "--model.backbone.image_size expects an integer or 2 integers in a list",
    # classes
    "--model.method CoIBAA": "model.method: class CoIBAA does not exist: did you mean CoIBA or IBA?",
    "--data Nix": "data: class Nix does not exist: choose ",
    "--model.method no.such.Thing": "model.method: no.such.Thing cannot be imported (No module named 'no')",
    "--model.method lit_coiba.data.ImageFolder": "model.method: lit_coiba.data.ImageFolder is not an AttributionMethod",
    "--trainer.callbacks Nix": "trainer.callbacks: class Nix does not exist; give its path, module.Class",
    # references
    "-c ref.yaml": "model.targets refers to ${data.batch_size}, but data.batch_size does not exist: "
    "did you mean data.init_args",
    "-c circle.yaml": "model.targets is ${model.weights}, which cannot be resolved (Recursive interpolation detected)",
    "-c grammar.yaml": "model.targets is ${model.tar, which cannot be resolved (no viable alternative",
    "-c environment.yaml": "model.targets is ${oc.env:NO_SUCH_NAME}, which cannot be resolved (",
    # what constructors say
    "--model.backbone.name resnet1800": "timm has no model 'resnet1800': did you mean resnet18",
    "--model.method.steps 1": "steps is 1: give a whole number, 2 or more",
    "--data.root /no/such": "root: /no/such does not exist",
    "--trainer.devices x": "trainer: `devices` selected with",
    "--trainer.precision 3": "trainer: Precision '3' is invalid",
}
FILES = {
    "key": "model: {methd: {class_path: CoIBA}}",
    "nested": "model: {method: {class_path: CoIBA, init_args: {copiez: 3}}}",
    "beside": "model: {method: {class_path: CoIBA, copies: 3}}",
    "ref": "model: {targets: '${data.batch_size}'}",
    "circle": "model: {targets: '${model.weights}', weights: '${model.targets}'}",
    "grammar": "model: {targets: '${model.tar'}",
    "environment": "model: {targets: '${oc.env:NO_SUCH_NAME}'}",
}


@pytest.mark.parametrize("mistake", CASES)
def test_one_sentence_and_status_2(mistake, command, photos):
    for name, text in FILES.items():
        Path(f"{name}.yaml").write_text(text)
    option, _, value = mistake.partition(" ")
    required = [] if mistake == "--store=" else ["--model.backbone.name", "resnet18", "--store", "x"]
    outcome = command("explain", *required, "--data.root", str(photos), option, *([value] if value else []))
    assert outcome.status == 2
    assert outcome.error.startswith(CASES[mistake])
    assert outcome.out == ""


def test_debugging_shows_where_it_was_raised(command, monkeypatch):
    monkeypatch.setenv("LIT_COIBA_DEBUG", "1")
    outcome = command("explain", "--zebra", "3")
    assert outcome.status == 2
    assert "Traceback (most recent call last)" in outcome.err
    assert (
        outcome.err.splitlines()[-1] == "lit-coiba: error: unknown key zebra (lit-coiba explain --help lists the keys)"
    )


def test_an_error_from_a_process_that_reads_data_is_what_was_raised_there():
    text = """Caught InputError in DataLoader worker process 0.
Original Traceback (most recent call last):
  File "x.py", line 3, in f
lit_coiba.core.errors.InputError: sample a: it is
broken"""
    assert one_line(InputError(text)) == "sample a: it is broken"
    assert one_line(ValueError()) == "ValueError"


def test_a_dotted_name_is_compared_with_its_neighbours():
    assert did_you_mean("a.bird", ["a.birds", "b.bird", "bird"]) == ": did you mean a.birds?"
    assert did_you_mean("c.bird", ["a.fish", "b.bird"]) == ": did you mean b.bird?"
    assert did_you_mean("a.zebra", ["a.fish"], otherwise=" (none)") == " (none)"
