"""The kinds of files that the package reads: how a small one is made, and what reading it gives."""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from PIL import Image
from torch.utils.data import DataLoader, TensorDataset

from benchmarks.fuzz import mutations as m
from lit_coiba import heads
from lit_coiba.backbones import Backbone
from lit_coiba.bottlenecks import ActivationStatistics, estimate_statistics
from lit_coiba.core.batch import Batch
from lit_coiba.core.errors import InputError
from lit_coiba.data import ClickMe, ImageDataset, ImageFolder
from lit_coiba.data.files.class_names import ClassNames
from lit_coiba.data.files.image_file import image_size, read_image, read_mask
from lit_coiba.store import BlockRecord, ExplanationStore, Manifest, merge
from lit_coiba.training.classifier import Classifier

NETWORK = {
    "name": "resnet18",
    "num_classes": 3,
    "image_size": 64,
    "timm_kwargs": {"channels": [4, 4, 4, 4], "layers": [1, 1, 1, 1]},
}

Make, Read = Callable[[Path], None], Callable[[Path], Any]


class Kind(NamedTuple):
    """One kind of file."""

    name: str
    make: Callable[[Path], None]  # writes sound files into an empty folder
    files: list[str]  # those that are mutated, as patterns
    read: Callable[[Path], Any]  # what reading the folder gives, as anything that can be compared
    mutations: list[m.Mutation]  # besides those of any file
    sealed: bool = False  # whether damage is never taken for other content
    rewritable: bool = False  # but what a program has written anew, with checksums of its own
    share: float = 1.0  # of the cases


def digest(*values: Any) -> str:
    """A short name of values."""
    sha = hashlib.sha256()
    for value in values:
        if isinstance(value, torch.Tensor):
            sha.update(f"{value.dtype}{tuple(value.shape)}".encode())
            sha.update(value.detach().cpu().contiguous().numpy().tobytes())
        else:
            sha.update(repr(value).encode("utf-8", "backslashreplace"))
    return sha.hexdigest()[:16]


def picture(file: Path, size: tuple[int, int] = (24, 20), seed: int = 0, **arguments: Any) -> None:
    """A picture of noise, in the format of its name."""
    file.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(seed).integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)
    Image.fromarray(pixels).save(file, **arguments)


def network() -> Backbone:
    """A tiny network with random weights, always the same."""
    torch.manual_seed(0)
    return Backbone(**NETWORK).eval()


def make_images(folder: Path) -> None:
    """One picture for each format."""
    for number, suffix in enumerate(("png", "jpg", "bmp", "gif", "webp", "tif", "ppm")):
        picture(folder / f"{number}.{suffix}")
    Image.fromarray(np.zeros((8, 8), np.uint8)).save(folder / "mask.png")


def read_images(folder: Path) -> Any:
    """Each of them; one that cannot be read is a failure of its own, as in a run."""
    found = []
    for file in sorted(folder.iterdir()):
        try:
            what = digest(
                image_size(file), read_image(file).tobytes(), read_mask(file) if "mask" in file.name else None
            )
        except OSError as error:
            what = f"failed: {error}"
        found.append((file.suffix if file.suffix == ".png" else "other", what))
    if failed := [what for _, what in found if what.startswith("failed")]:
        raise InputError(failed[0])
    return [what for suffix, what in found if suffix == ".png"]  # only these have checksums


def make_table(folder: Path) -> None:
    """An image folder with a table of labels and boxes, and class names."""
    for k in range(4):
        picture(folder / "images" / f"{k}.png", seed=k)
    rows = [f"{k}.png,{('cat', 'dog')[k % 2]},1,2,{10 + k},{12 + k}" for k in range(4)]
    (folder / "table.csv").write_text("\n".join(["file,label,x_min,y_min,x_max,y_max", *rows, ""]))
    (folder / "classes.csv").write_text("index,wnid,name\n0,n01,cat\n1,n02,dog\n")
    (folder / "classes.txt").write_text("cat\ndog\n")


def read_table(folder: Path) -> Any:
    """Samples, labels, classes and regions."""
    found = []
    for classes in ("classes.txt", "classes.csv"):
        names = ClassNames.read(folder / classes)
        data = ImageFolder(str(folder / "images"), csv=str(folder / "table.csv"), classes=str(folder / classes))
        dataset = data.dataset("predict")
        regions = []
        for k in range(len(dataset.ids)):
            with contextlib.suppress(OSError):
                regions.append(dataset.region(k))
        found.append((names.names, list(dataset.ids), list(dataset.labels), dataset.classes, digest(*regions)))
    return found


def make_maps(folder: Path) -> None:
    """Images, and a folder of importance maps of each format, one of three participants."""
    draw = np.random.default_rng(0)
    for k in range(3):
        picture(folder / "images" / f"{k}.png", seed=k)
    (folder / "maps/2").mkdir(parents=True)
    Image.fromarray(draw.integers(0, 256, (20, 24), dtype=np.uint8)).save(folder / "maps/0.png")
    np.save(folder / "maps/1.npy", draw.random((10, 12)))
    for k in range(2):
        np.save(folder / f"maps/2/{k}.npy", draw.random((20, 24), dtype=np.float32))
    Image.fromarray(draw.integers(0, 256, (20, 24), dtype=np.uint8)).save(folder / "maps/2/2.jpg")


def read_maps(folder: Path) -> Any:
    """The importance of each image; a map that cannot be read is a failure of its own, as in a run."""
    dataset = ImageFolder(str(folder / "images"), importance=str(folder / "maps")).dataset("predict")
    return _each(dataset, lambda k: digest(dataset.importance(k), dataset.importances(k)))


def make_shards(folder: Path) -> None:
    """Shards of ClickMe."""
    from tests._testers.tf_shards import click_me

    click_me(folder)


def read_shards(folder: Path) -> Any:
    """Samples, labels, pictures and maps."""
    dataset = ClickMe(str(folder / "click-me")).dataset("val")
    pixels = _each(dataset, lambda k: digest(dataset.image(k).tobytes(), dataset.importance(k), dataset.version(k)))
    return list(dataset.ids), list(dataset.labels), pixels


def _each(dataset: ImageDataset, read: Callable[[int], Any]) -> list[Any]:
    """What is read of each sample; the first failure is raised."""
    found, failed = [], []
    for k in range(len(dataset)):
        try:
            found.append(read(k))
        except OSError as error:  # noqa: PERF203 - each has its own reason
            failed.append(f"failed: {error}")
    if failed:
        raise InputError(failed[0])
    return found


YAML = """# a comment
trainer: {max_epochs: 5, accelerator: cpu}
model:
  method:
    class_path: CoIBA
    init_args: &arguments
      beta: 1.0
      steps: 10
      layers: [blocks.3.norm1, blocks.5.norm1]
  targets: top3
data:
  class_path: ImageFolder
  init_args: {root: images, batch_size: 8, num_workers: 0}
"""


def make_yaml(folder: Path) -> None:
    """A config file."""
    (folder / "config.yaml").write_text(YAML)


def read_yaml(folder: Path) -> Any:
    """Its content, as words of a command."""
    from lit_coiba.cli.parsing.config_files import read_configs

    with contextlib.redirect_stderr(io.StringIO()):
        words, _, classes = read_configs(["-c", str(folder / "config.yaml")], {"model": {}})
    return digest(words), sorted(classes.items())


def make_weights(folder: Path) -> None:
    """The weights of a network in three files."""
    from lit_coiba.callbacks.export_weights import save_half

    model = network()
    torch.save(model.model.state_dict(), folder / "a.pth")
    torch.save({"state_dict": model.model.state_dict(), "epoch": 3, "arch": "resnet18"}, folder / "b.pth")
    save_half(model.model, folder / "c.safetensors", {"backbone": model.arguments, "head": None})


def read_weights(folder: Path) -> Any:
    """The networks."""
    return [Backbone(**NETWORK, checkpoint=str(file)).digest() for file in sorted(folder.iterdir())]


def make_checkpoint(folder: Path) -> None:
    """What a fit of a small classifier with a head leaves."""
    from lit_coiba.trainer import Trainer

    torch.manual_seed(0)
    model = Classifier(network(), lambda channels, classes: heads.LinearHead(channels, classes), frozen=True)
    data = DataLoader(TensorDataset(torch.randn(4, 3, 64, 64), torch.tensor([0, 1, 0, 1])), batch_size=2)
    plain = {"logger": False, "enable_progress_bar": False, "enable_model_summary": False, "accelerator": "cpu"}
    trainer = Trainer(max_epochs=1, default_root_dir=folder / "run", **plain)
    trainer.fit(model, data)
    (file,) = (folder / "run").rglob("*.ckpt")
    file.rename(folder / "w.ckpt")
    for below in sorted((folder / "run").rglob("*"), reverse=True):
        below.rmdir()
    (folder / "run").rmdir()


def read_checkpoint(folder: Path) -> Any:
    """The classifier, by each of the ways to it, which have to agree."""
    from lit_coiba.backbones.trained import load_trained
    from lit_coiba.cli.parsing.checkpoints import saved_arguments, saved_module

    file = str(folder / "w.ckpt")
    told: list[Any] = []

    def by_weights() -> str:
        backbone = network()
        load_trained(backbone, file)
        return backbone.digest()

    words = ["--ckpt_path", file]
    ways: dict[str, Callable[[], Any]] = {
        "load": lambda: Backbone.load(file).digest(),
        "weights": by_weights,
        "classifier": lambda: Classifier.load_from_checkpoint(file).network.digest(),
        "arguments": lambda: repr(saved_arguments(saved_module(words), words, True)),
    }
    refusals: list[InputError] = []
    for name, way in ways.items():
        with _noted(refusals):
            told.append((name, way()))
    if refusals:
        raise refusals[0]
    return told


@contextlib.contextmanager
def _noted(refusals: list[InputError]) -> Iterator[None]:
    try:
        yield
    except InputError as error:
        refusals.append(error)


def read_resumed(folder: Path) -> Any:
    """The weights after a fit that goes on from the checkpoint, and what a validation gives."""
    from lit_coiba.trainer import Trainer

    file = folder / "w.ckpt"
    plain = {"logger": False, "enable_progress_bar": False, "enable_model_summary": False, "accelerator": "cpu"}
    torch.manual_seed(0)
    model = Classifier(network(), lambda channels, classes: heads.LinearHead(channels, classes), frozen=True)
    data = DataLoader(TensorDataset(torch.randn(4, 3, 64, 64), torch.tensor([0, 1, 0, 1])), batch_size=2)
    trainer = Trainer(max_epochs=2, default_root_dir=folder / "run", **plain)
    trainer.fit(model, data, ckpt_path=file, weights_only=True)
    return model.network.digest()


def make_statistics(folder: Path) -> None:
    """Activation statistics of two layers."""
    model = network()
    images = torch.randn(4, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    estimate_statistics(model, ["layer2", "layer3"], [images]).save(folder / "s.safetensors")


def read_statistics(folder: Path) -> Any:
    """Their digest."""
    return ActivationStatistics.load(folder / "s.safetensors").digest()


def make_cache(folder: Path) -> None:
    """Features as a cached fit leaves them."""
    from lit_coiba.files.digests import seal_of_file
    from lit_coiba.training.feature_file import DIGESTS, FEATURES, TARGETS

    values = np.random.default_rng(0)
    np.save(folder / "key.npy", values.random((1, 6, 4, 2, 2)).astype(np.float16))
    np.save(folder / "key.targets.npy", np.arange(6).reshape(1, 6))
    file = folder / "key.npy"
    digests = {kind: seal_of_file(file.with_suffix(kind)) for kind in (FEATURES, TARGETS)}
    file.with_suffix(DIGESTS).write_text(json.dumps(digests))


def read_cache(folder: Path) -> Any:
    """The features; what is not whole would be made again."""
    from lit_coiba.training.feature_file import is_whole, opened

    if not is_whole(folder / "key.npy", 1, 6):
        raise InputError("made again")
    found = opened(folder / "key.npy", 1, 6)
    return digest(found.__getitems__([0, 5]).values, found.targets)


def make_prototypes(folder: Path) -> None:
    """The prototypes of a head of four units."""
    from lit_coiba.data.synthetic_parts import SyntheticParts
    from lit_coiba.functional import Strongest
    from lit_coiba.prototypes.table import SUMMARY, TABLE, summary, write_summary, write_table

    data = SyntheticParts(limit=6)
    data.model_preprocessing = network().preprocessing
    data.setup("predict")
    random = torch.Generator().manual_seed(0)
    strengths = torch.rand(1, 4, 3, generator=random).sort(descending=True).values
    samples, cells = torch.randint(6, (1, 4, 3), generator=random), torch.randint(16, (1, 4, 3), generator=random)
    found = Strongest(strengths, samples, cells)
    Manifest({"model": "m", "split": "train", "samples": 6}).save(folder)
    write_table(folder / TABLE, found, (4, 4), data.explained, data.transform, crops=1)
    weights = torch.rand(3, 4, generator=random)
    write_summary(folder / SUMMARY, summary(found, weights, ["cat", "dog", "ant"]))


def read_prototypes(folder: Path) -> Any:
    """Every patch with its crop, and the summary."""
    from lit_coiba.prototypes import Prototypes

    found = Prototypes(folder)
    patches = [found[row] for row in range(len(found))]
    told = (found.units, found.split, found.classes, found.dead, found.unused, found.duplicate, found.important)
    own = found.summary["own"] and [[unit for unit, _ in units] for units in found.summary["own"]]
    return told, own, digest(*(value for patch in patches for value in patch), *found.summary["importance"])


def _record(block: int) -> BlockRecord:
    random = torch.Generator().manual_seed(block)
    targets = torch.tensor([1, 2, 0])
    ids = tuple(f"class/{block}{k}.png" for k in range(3))
    maps = torch.rand(3, 4, 4, generator=random)
    return BlockRecord(block, ids, targets, targets, torch.rand(3, generator=random), maps, {"bits": maps.sum((1, 2))})


def make_store(folder: Path) -> None:
    """A store of three blocks, and one that has been compacted."""
    for name in ("one", "two"):
        store = ExplanationStore.open(folder / name, Manifest({"model": "m", "samples": 9, "block_size": 3}))
        for block in range(3):
            store.write(_record(block))
    store.compact()


def read_store(folder: Path) -> Any:
    """Every row of both, what is missing, and what they are joined to."""
    found = []
    for name in ("one", "two"):
        store = ExplanationStore(folder / name)
        missing = store.missing(3)
        rows = [(row.id, row.target, row.label, row.probability, digest(row.map, *row.extras.items())) for row in store]
        found.append((missing, rows, store.failures(), store.manifest.digest))
    joined = merge(folder / "joined", [folder / "one", folder / "two"])
    return found, joined.digest(), len(joined)


def make_evaluation(folder: Path) -> None:
    """What the evaluation of prototypes leaves."""
    from lit_coiba.files.digests import seal_of_file, sealed

    (folder / "evaluation.md").write_text("| measure | value |\n")
    told = {"of": "i", "images": 3, "consistency": 0.5}
    content = sealed({**told, "page": seal_of_file(folder / "evaluation.md")})
    (folder / "evaluation.json").write_text(json.dumps(content))


def read_evaluation(folder: Path) -> Any:
    """Whether it is taken, and its page; what is not whole would be measured again."""
    from lit_coiba.trainer.prototypes import _measured

    if not _measured(folder, "i"):
        raise InputError("measured again")
    return (folder / "evaluation.md").read_text()


def make_masks(folder: Path) -> None:
    """Regions of EVA."""
    torch.save(torch.eye(4, dtype=torch.bool).view(4, 2, 2), folder / "masks.pt")


def read_masks(folder: Path) -> Any:
    """The regions, as EVA takes them."""
    from lit_coiba.attribution import EVA

    method = EVA(0.1, None, masks=str(folder / "masks.pt"))
    regions = method._regions(torch.zeros(1, 3, 2, 2))
    return digest(regions), bool(method.identity()["masks"])


def released(
    name: str, build: Callable[[Path], Any], data: str
) -> tuple[Callable[[Path], None], Callable[[Path], Any]]:
    """How a published dataset is made in small, and read."""

    def make(folder: Path) -> None:
        build(folder / name)

    def read(folder: Path) -> Any:
        import lit_coiba.data as module

        root = next(path for path in [*(folder / name).rglob("*"), folder / name] if path.is_dir())
        last = None
        for place in (folder / name, root):
            try:
                made = getattr(module, data)(str(place))
                dataset = made.dataset("predict")
                break
            except InputError as error:
                last = last or error
        else:
            raise last or InputError("nothing")
        regions = []
        for k in range(len(dataset.ids)):
            with contextlib.suppress(OSError):
                regions += [dataset.region(k), dataset.parts(k)]
        return list(dataset.ids), list(dataset.labels), dataset.classes, digest(*regions)

    return make, read


def batch_of(images: torch.Tensor) -> Batch:
    """A block of images."""
    return Batch(images, tuple(map(str, range(len(images)))), torch.full((len(images),), -1), 0)


def all_kinds() -> list[Kind]:
    """Every kind, by its name."""
    from tests._testers import releases

    found = [
        Kind("image", make_images, ["*"], read_images, [], sealed=True),
        Kind("maps", make_maps, ["maps/**/*.*"], read_maps, []),
        Kind("map arrays", make_maps, ["maps/**/*.npy"], read_maps, [m.array, m.array]),
        Kind("shards", make_shards, ["**/val-*"], read_shards, []),  # of which two may be one behind the other
        Kind("table", make_table, ["table.csv"], read_table, m.TEXT),
        Kind("classes", make_table, ["classes.*"], read_table, m.TEXT),
        Kind("yaml", make_yaml, ["config.yaml"], read_yaml, m.TEXT),
        Kind("weights", make_weights, ["*.pth"], read_weights, [m.parts, m.parts, m.parts, m.inflated]),
        Kind("safetensors", make_weights, ["*.safetensors"], read_weights, [m.tensors, m.tensors]),
        Kind("checkpoint", make_checkpoint, ["w.ckpt"], read_checkpoint, [m.parts] * 12 + [m.inflated]),
        Kind("resumed fit", make_checkpoint, ["w.ckpt"], read_resumed, [m.parts] * 20, share=0.5),
        Kind("statistics", make_statistics, ["*"], read_statistics, [m.tensors] * 4, sealed=True),
        Kind("feature cache", make_cache, ["*"], read_cache, [m.array, m.array], sealed=True),
        Kind("prototypes", make_prototypes, ["*.json"], read_prototypes, [m.values] * 8, sealed=True),
        Kind("prototype table", make_prototypes, ["*.parquet"], read_prototypes, [m.cells] * 4, sealed=True),
        Kind("manifest", make_store, ["*/manifest.json"], read_store, [m.values] * 6),
        Kind("block", make_store, ["*/blocks/*"], read_store, [m.cells] * 4, sealed=True, rewritable=True),
        Kind("evaluation", make_evaluation, ["*"], read_evaluation, m.TEXT[:2], sealed=True),
        Kind("masks", make_masks, ["*"], read_masks, [m.parts, m.parts, m.inflated]),
    ]
    for name, build, data, files in (
        ("cub", releases.cub200, "CUB200", ["**/*.txt"]),
        ("cars", releases.cars_devkit, "StanfordCars", ["**/*.mat"]),
        ("dogs", releases.stanford_dogs, "StanfordDogs", ["**/*.mat", "**/Annotation/**/*"]),
    ):
        make, read = released(name, build, data)
        more = [m.matlab, m.matlab] if name != "cub" else m.TEXT
        found.append(Kind(name, make, files, read, more, share=0.7))
    return found
