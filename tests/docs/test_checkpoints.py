"""The weights that come with the package: what their cards say is true."""

import hashlib
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
import torch
import yaml
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from lit_coiba.backbones import Backbone
from lit_coiba.backbones.trained import load_trained
from lit_coiba.core.errors import InputError
from lit_coiba.data.synthetic import DroppedPartsDataset, SyntheticPartsDataset
from lit_coiba.heads import InfoDisentHead
from lit_coiba.resources import resource

SHIPPED = ("synthetic_parts_vit", "synthetic_parts_cnn")
HEADS = (
    "infodisent_synthetic_parts",
    "br_npa_high_resolution_synthetic_parts",
)  # the backbone with the head that explains it
REQUIRED = 0.95  # accuracy on whole objects of what ships with a head
IMAGES = list(range(200))
SLACK = 0.04  # of a share measured on 200 images instead of 1,000: more than two standard deviations


@pytest.fixture(scope="module")
def test_split():
    return SyntheticPartsDataset("test")


def card(name):
    lines = resource(f"checkpoints/{name}.md").read_text().splitlines()
    rows = (re.fullmatch(r"\| (.+?) \| (.+) \|", line) for line in lines)
    return {row[1]: row[2].strip("`") for row in rows if row}


def backbone(name):
    return Backbone.load(resource(f"checkpoints/{name}.safetensors")).eval()


@pytest.mark.parametrize("name", SHIPPED)
def test_the_file_says_what_the_experiment_says(name):
    experiment = yaml.safe_load(resource(f"configs/experiment/{name}.yaml").read_text())["model"]["backbone"]
    made = Backbone(**experiment, checkpoint=str(resource(f"checkpoints/{name}.safetensors")))
    assert backbone(name).digest() == made.digest()
    assert backbone(name).preprocessing == made.preprocessing


@pytest.mark.parametrize("name", SHIPPED)
def test_the_accuracies_of_the_card_are_reached(name, test_split):
    model, claims = backbone(name), card(name)
    whole = test_split.batch(IMAGES), torch.nn.functional.one_hot(torch.tensor(test_split.labels)[IMAGES], 20).bool()
    dropped = DroppedPartsDataset(test_split).batch(IMAGES)
    required = {"whole": 0.99, "parts_dropped": 0.95}
    for kind, (pixels, fits) in {"whole": whole, "parts_dropped": dropped}.items():
        with torch.no_grad():
            answers = torch.cat([model(model.normalize(part / 255)).argmax(1) for part in pixels.split(50)])
        right = sum(bool(fits[row, answer]) for row, answer in enumerate(answers.tolist()))
        claimed = float(claims[f"accuracy, {kind}"].partition("%")[0])
        assert claimed >= 100 * required[kind]
        assert right / len(IMAGES) >= claimed / 100 - SLACK


@pytest.mark.parametrize("name", SHIPPED)
def test_the_card_is_that_of_the_file(name):
    content, claims = resource(f"checkpoints/{name}.safetensors").read_bytes(), card(name)
    assert claims["SHA-256"] == hashlib.sha256(content).hexdigest()
    assert f"{len(content):,} bytes" in claims["file"]
    assert claims["made by"] == f"lit-coiba fit -c configs/experiment/{name}.yaml"
    config = yaml.safe_load(resource(f"configs/experiment/{name}.yaml").read_text())
    assert claims["trained"].startswith(f"{config['trainer']['max_epochs']} epochs")
    assert yaml.safe_load(claims["network"]) == config["model"]["backbone"]
    assert claims["parameters"] == f"{sum(p.numel() for p in backbone(name).parameters()):,}"


def test_a_file_that_does_not_say_its_network_is_refused_in_one_sentence(tmp_path):
    file = tmp_path / "plain.safetensors"
    save_file(load_file(resource("checkpoints/synthetic_parts_cnn.safetensors")), file)
    with pytest.raises(InputError, match=r"plain.safetensors does not describe the network of its weights: give the"):
        Backbone.load(file)


def headed(name):
    """The classifier as a user's config says it, with the head that its file tells of."""
    config = yaml.safe_load(resource(f"configs/model/{name}.yaml").read_text())["model"]
    assert config["weights"] == f"checkpoints/{name}.safetensors"
    model = Backbone(**config["backbone"])
    load_trained(model, resource(config["weights"]))
    loaded = Backbone.load(resource(config["weights"]))
    assert (loaded.digest(), loaded.preprocessing) == (model.digest(), model.preprocessing)
    return loaded.eval()


@pytest.mark.parametrize("name", HEADS)
def test_the_accuracy_of_the_card_is_reached_with_the_head(name, test_split):
    model, claims = headed(name), card(name)
    with torch.no_grad():
        batches = test_split.batch(IMAGES).split(50)
        answers = torch.cat([model(model.normalize(pixels / 255)).argmax(1) for pixels in batches])
    reached = (answers == torch.tensor(test_split.labels)[IMAGES]).double().mean().item()
    row = next(row for row in ("accuracy, test", "accuracy, whole") if row in claims)  # of one loader, or of two
    claimed = float(claims[row].partition("%")[0]) / 100
    assert claimed >= REQUIRED
    assert reached >= claimed - SLACK


@pytest.mark.parametrize("name", HEADS)
def test_the_card_is_that_of_the_file_and_its_head(name):
    file, claims = Path(resource(f"checkpoints/{name}.safetensors")), card(name)
    content = file.read_bytes()
    assert claims["SHA-256"] == hashlib.sha256(content).hexdigest()
    assert f"{len(content):,} bytes" in claims["file"]
    assert len(content) <= 4e6
    assert claims["made by"] == f"lit-coiba fit -c configs/experiment/{name}.yaml"
    config = yaml.safe_load(resource(f"configs/experiment/{name}.yaml").read_text())
    assert claims["trained"].startswith(f"{config['trainer']['max_epochs']} epochs")
    assert claims["parameters"] == f"{sum(p.numel() for p in headed(name).parameters()):,}"

    own = {k: v for k, v in config["model"]["backbone"].items() if k not in ("checkpoint", "new_head")}
    network, head = json.loads(claims["network"]), json.loads(claims["head"])
    assert {k: v for k, v in network.items() if k != "new_head"} == own
    assert head["class"] == config["model"]["head"]["class_path"].rpartition(".")[2]
    assert config["model"]["head"]["init_args"].items() <= head.items()
    with safe_open(file, "pt") as opened:
        assert json.loads(opened.metadata()["classifier"])["head"] == head


LOGITS = """
import json, sys
import torch, yaml
from lit_coiba.backbones import Backbone
from lit_coiba.backbones.trained import load_trained

load = torch.load
def plain(*args, **kwargs):
    assert kwargs.get("weights_only") is True, "a file was read that could run code"
    return load(*args, **kwargs)
torch.load = plain

config, file = sys.argv[1:]
model = Backbone(**yaml.safe_load(open(config))["model"]["backbone"])
load_trained(model, file)
images = torch.linspace(-2, 2, 4 * 3 * 64 * 64).sin().view(4, 3, 64, 64)
with torch.no_grad():
    print(json.dumps(model.eval()(images).double().tolist()))
"""


def logits_of_another_process(name, file):
    words = [sys.executable, "-c", LOGITS, str(resource(f"configs/model/{name}.yaml")), str(file)]
    done = subprocess.run(words, capture_output=True, text=True, cwd=Path(__file__).parents[2], check=False)
    assert done.returncode == 0, done.stderr
    return torch.tensor(json.loads(done.stdout.splitlines()[-1]), dtype=torch.float64)


@pytest.mark.parametrize("name", HEADS)
@pytest.mark.parametrize("kind", ["safetensors", "ckpt"])
def test_another_process_gets_the_same_logits_without_running_code(name, kind, tmp_path):
    """From the file that ships, and from a checkpoint as Lightning saves one."""
    model = headed(name)
    file = resource(f"checkpoints/{name}.safetensors")
    if kind == "ckpt":
        file = tmp_path / "model.ckpt"
        described = {"head": {"class": type(model.head).__name__, **model.head.arguments()}}
        state = {f"backbone.model.{key}": tensor for key, tensor in model.model.state_dict().items()}
        torch.save({"hyper_parameters": {**described, "backbone": model.arguments}, "state_dict": state}, file)
    images = torch.linspace(-2, 2, 4 * 3 * 64 * 64).sin().view(4, 3, 64, 64)
    with torch.no_grad():
        own = model(images).double()
    assert own.std() > 0.1  # there is something to agree on
    torch.testing.assert_close(logits_of_another_process(name, file), own, rtol=0, atol=1e-6)


@pytest.mark.parametrize("name", [name for name in HEADS if name.startswith("infodisent")])
def test_half_precision_leaves_u_orthogonal_and_w_non_negative(name):
    head = headed(name).head
    assert isinstance(head, InfoDisentHead)
    kept = load_file(resource(f"checkpoints/{name}.safetensors"))
    (free,) = (tensor for key, tensor in kept.items() if key.endswith("rotate.generator"))
    assert free.dtype == torch.float16
    turned = head.rotate.matrix().detach().double()
    identity = torch.eye(len(turned), dtype=torch.float64)
    assert (turned.T @ turned - identity).abs().max() < 1e-4
    assert (turned - identity).abs().max() > 0.1  # and U did turn something
    assert head.class_weights.min() >= 0
    assert (head.class_weights > 0).any(1).all()


def test_together_they_are_small():
    assert sum(resource(f"checkpoints/{name}.safetensors").stat().st_size for name in SHIPPED) <= 8e6


def test_the_transformer_has_plain_patches_and_a_class_token():
    model = backbone("synthetic_parts_vit")
    assert [type(m).__name__ for m in model.model.patch_embed.children()] == ["Conv2d", "Identity"]
    assert model.model.patch_embed.proj.kernel_size == model.model.patch_embed.proj.stride == (8, 8)
    grid = model.grid("blocks.0.norm1")
    assert (grid.height, grid.width, grid.num_prefix_tokens) == (8, 8, 1)
    assert model.model.global_pool == "token"


def test_the_first_stage_of_the_network_of_convolutions_has_sixteen_cells_a_side():
    grid = backbone("synthetic_parts_cnn").grid("layer1")
    assert (grid.height, grid.width) == (16, 16)
