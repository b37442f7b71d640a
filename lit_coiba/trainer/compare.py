"""What `Trainer.compare` does: several methods on the same images, their scores, one picture and one table."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from lit_coiba.attribution.at_layers import at_layers
from lit_coiba.attribution.presets import columns
from lit_coiba.benchmark import Leaderboard
from lit_coiba.core.errors import InputError, warn
from lit_coiba.core.method import AttributionMethod
from lit_coiba.core.printable import printable
from lit_coiba.data.dataset import ImageDataset
from lit_coiba.data.module import BlockDataModule
from lit_coiba.data.transforms import Transform
from lit_coiba.files.atomic import atomically
from lit_coiba.files.owned import check_own_file, claim_folder, is_marked
from lit_coiba.files.png import is_our_png, our_mark
from lit_coiba.metrics.metric import Metric
from lit_coiba.metrics.suites import load_suite
from lit_coiba.modules.method_comparison import MethodComparison
from lit_coiba.modules.scorer import Scorer
from lit_coiba.pictures import Comparison, comparison
from lit_coiba.pictures.best_and_worst import best_and_worst
from lit_coiba.pictures.names import class_name
from lit_coiba.pictures.numbers import percent
from lit_coiba.store import ExplanationStore
from lit_coiba.store.folder import is_store
from lit_coiba.trainer.places import place_of

if TYPE_CHECKING:
    from lit_coiba.trainer.scoring_verbs import ScoringVerbs

VERB = "compare"
STORES, SCORES, PICTURE = "stores", "scores", "comparison.png"
AGG_ATT = "agg_att"  # folder of AggAtt, a picture for each method
LOCATED = ("grid_pointing", "energy", "energy_gain")  # columns that AggAtt sorts by; the first is about grids
EXAMPLES = 8  # images in the picture


class Compared(NamedTuple):
    """What a comparison has found."""

    stores: dict[str, ExplanationStore]  # method -> its explanations
    board: Leaderboard
    picture: Path | None  # images by methods; None where nothing was drawn
    refused: dict[str, str]  # method -> why it cannot explain this model


def compare_place(output: str, data: BlockDataModule) -> Path:
    """The folder of a comparison.

    Raises:
        InputError: It cannot be written, or is not the verb's own.
    """
    return place_of(output, "output", data, lambda found: is_marked(found, VERB))


def methods_of(model: MethodComparison, words: list[str], layers: list[str]) -> dict[str, AttributionMethod]:
    """All methods by the names of their rows.

    Raises:
        InputError: There is none, or two have one name, or a layer cannot be used.
    """
    found = columns(words)
    if taken := found.keys() & model.methods.keys():
        raise InputError(f"methods: {printable(min(taken), 80)} is named twice: give your own another name")
    found |= model.methods
    found = at_layers(found, model.network, layers) if layers else found
    for name in found:
        if not name or name.startswith(".") or Path(name).name != name:
            raise InputError(f"methods: {printable(name, 80)!r} cannot be the name of a folder: choose another")
    if not found:
        raise InputError("methods: give at least one, such as coiba_fast grad_cam saliency (lit-coiba methods)")
    return found


def metrics_of(model: MethodComparison, suite: str) -> dict[str, Metric]:
    """What is measured: the metrics that the user gave, or else those of a suite."""
    return load_suite(suite) if model.metrics is None else model.metrics


def compare(
    trainer: ScoringVerbs,
    model: MethodComparison,
    data: BlockDataModule,
    methods: Mapping[str, AttributionMethod],
    metrics: dict[str, Metric],
    folder: Path,
    pictures: bool,
    **passed: Any,
) -> Compared:
    """Explain, score and draw.

    Args:
        trainer: Trainer whose verbs run.
        model: The model.
        data: The images.
        methods: Name of the row -> method.
        metrics: Name of the column -> metric.
        folder: Folder of stores, scores and picture.
        pictures: Whether pictures are drawn.
        passed: Arguments of the verbs: limit, shard, if_changed.
    """
    check_own_file(folder / PICTURE, "output", is_our_png)
    claim_folder(folder, "output", VERB, lambda entry: entry.name in (STORES, SCORES, AGG_ATT))
    stores, refused = dict[str, ExplanationStore](), dict[str, str]()
    for name, method in methods.items():
        place = folder / STORES / name
        try:
            stores[name] = trainer.explain(model.explainer(method), data, str(place), pictures=False, **passed)
        except InputError as error:
            if is_store(place) and ExplanationStore(place).parts():  # it can explain the model: something else is wrong
                raise
            refused[name] = printable(str(error), 300)
            warn(f"{name} is left out: {error}", stacklevel=3)
    if not stores:
        raise InputError(f"none of the methods can explain this model; the first says: {next(iter(refused.values()))}")
    folders = [str(store.path) for store in stores.values()]
    board = trainer.benchmark(
        Scorer.of(model, metrics), data, folders, str(folder / SCORES), pictures=pictures, **passed
    )
    picture = None
    if pictures and trainer.is_global_zero:
        transform = Transform(model.preprocessing)
        picture = side_by_side(stores, data.explained, transform, folder / PICTURE, model.network.class_names or ())
        for name, store in stores.items():
            draw_best_and_worst(name, store, board, data.explained, transform, folder / AGG_ATT)
    return Compared(stores, board, picture, refused)


def draw_best_and_worst(
    name: str, store: ExplanationStore, board: Leaderboard, images: ImageDataset, transform: Transform, folder: Path
) -> None:
    """Draw AggAtt of a method by the first metric of localization that the table has, if there is one."""
    column = next((known for known in LOCATED if known in board.metrics), None)
    if column is None or board.scores[name][column].isnan().all():
        return
    file = folder / f"{name}.png"
    check_own_file(file, "output", is_our_png)
    title = f"{name}: mean maps from the best to the worst samples by {column.replace('_', ' ')}"
    cells = column == LOCATED[0]
    drawn = best_and_worst(store, board.keys, board.scores[name][column], images, transform, title, cells)
    folder.mkdir(exist_ok=True)
    with atomically(file) as out:
        drawn.save(out, "PNG", pnginfo=our_mark())


def side_by_side(
    stores: Mapping[str, ExplanationStore], images: ImageDataset, transform: Transform, file: Path, names: Any
) -> Path | None:
    """Some images, evenly spaced over those that all stores explain, with the maps of all methods."""
    shared = set.intersection(*(set(store.keys()) for store in stores.values()))
    places = {name: index for index, name in enumerate(images.ids)}
    keys = sorted((key for key in shared if key[0] in places), key=lambda key: (places[key[0]], key[1]))
    examples = []
    shown = min(EXAMPLES, len(keys))
    for name, target in (keys[number * len(keys) // shown] for number in range(shown)):
        try:
            pixels = transform.pixels(images.image(places[name]))
        except Exception as error:  # whatever a user's dataset raises
            warn(f"{printable(name, 80)} is not in the picture: {printable(str(error), 100)}")
            continue
        row = next(iter(stores.values()))[name, target]
        title = f"{class_name(target, names or images.classes)} {percent(row.probability)}"
        examples.append(Comparison(pixels, title, name, {m: store[name, target].map for m, store in stores.items()}))
    return comparison(examples, file) if examples else None
