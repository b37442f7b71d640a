"""From folders of results to a site: what `build` does."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from lit_coiba import __version__
from lit_coiba.concepts.concept_names import names_of_run
from lit_coiba.core.errors import InputError, warn
from lit_coiba.core.printable import counted, printable
from lit_coiba.explorer.agreement import check_agreement, check_other
from lit_coiba.explorer.class_material import class_digest, class_material
from lit_coiba.explorer.class_part import ClassSummary, make_class
from lit_coiba.explorer.explained import Explained
from lit_coiba.explorer.media import Media
from lit_coiba.explorer.page_data import Site, Unit
from lit_coiba.explorer.pages.overview import model_facts, run_facts
from lit_coiba.explorer.pages.prototype_page import prototype_page
from lit_coiba.explorer.predictions import Predictions
from lit_coiba.explorer.rendering import Assets, Renderer
from lit_coiba.explorer.runs import Runs, open_runs
from lit_coiba.explorer.sample_images import Images, SampleImages
from lit_coiba.explorer.similar import Similar
from lit_coiba.explorer.site_folder import ASSETS_KEY, CLASS_KEY, SITE_KEY, UNIT_KEY, VERB, PartFiles, SiteFolder
from lit_coiba.explorer.site_part import make_site, navigation
from lit_coiba.explorer.sources import Sources, shown
from lit_coiba.explorer.visualization_items import seals
from lit_coiba.files.given_path import given_path
from lit_coiba.files.held import held
from lit_coiba.files.owned import check_apart, check_own_folder, claim_folder, is_marked
from lit_coiba.files.regular import clause
from lit_coiba.pictures.sample_pictures import recipe
from lit_coiba.store.progress import progress_bar
from lit_coiba.trainer.places import check_place

Folders = Sequence[str | os.PathLike[str]]
Tell = Callable[[int, int], None]


@dataclass(frozen=True)
class Built:
    """A site that is finished.

    Attributes:
        path: Its folder.
        classes: Classes that have a page.
        made: Keys of the parts that were made; the others were there.
        removed: Addresses of files that were removed, since nothing has them any more.
    """

    path: Path
    classes: int
    made: list[str]
    removed: list[str]


def build(
    runs: Folders,
    out: str | os.PathLike[str],
    other: Folders | None = None,
    images: Images = None,
    names: str | os.PathLike[str] | None = None,
    progress: bool = False,
) -> Built:
    """Write a site that opens from disk, or continue one: what is there and made of the same is not made again.

    Args:
        runs: Folders of one model on one dataset: of concepts, explanations, prototypes, benchmarks, visualizations.
        out: Folder of the site.
        other: Folders of a second model for the same classes, to compare with.
        images: Folder of the pictures that ids are relative to, or their dataset; None = those that the runs have.
        names: JSON or YAML file of names that people gave concepts, class -> concept -> name; None = ``names.json`` in
            the folder of concepts, if there is one.
        progress: Whether to show a progress bar on stderr.

    Raises:
        InputError: A run is missing, damaged or of another kind, runs do not go together, there is nothing to show, or
            the folder cannot be written or is not a site.
    """
    first, second = open_runs(runs), open_runs(other, "other") if other else None
    check_agreement(first)
    if second is not None:
        check_agreement(second, "other")
        check_other(first, second)
    folder = _place(out, [*first.paths, *([] if second is None else second.paths)])
    known = [names_of_run(run, names) for run in first.concepts]
    made_from = first.preprocessing
    pictures = SampleImages(images, None if made_from is None else recipe(made_from, first.paths[0]))
    if pictures.folder is not None:
        check_apart(folder, "out", [pictures.folder])
    predictions = Predictions(first)
    explained = Explained(first, predictions, errors=bool(pictures))
    classes = _classes(first, predictions, explained)
    if not classes and first.prototypes is None and not first.benchmarks:
        raise InputError("runs: there is nothing to show in them: run what wrote them to its end")
    assets = Assets()
    code = _code(assets)
    site = _site(first, second, bool(classes))
    renderer = Renderer(site)
    try:
        claim_folder(folder, "out", VERB)
        with held(folder, "out", VERB):
            sources = Sources(
                runs=first,
                predictions=predictions,
                explained=explained,
                names=tuple(known),
                similar=tuple(Similar(run, folder) for run in first.concepts),
                images=pictures,
                site=site,
                classes=tuple(classes),
                code=code,
                other=second,
                other_predictions=None if second is None else Predictions(second, "other"),
                pages=frozenset(classes),
            )
            with progress_bar("Pages", progress) as tell:
                return _build(SiteFolder(folder), sources, renderer, assets, tell)
    except OSError as error:
        raise InputError(
            f"out {printable(folder, 200)} cannot be written ({clause(error)}): fix the cause and run the same command"
            " again; finished classes are kept"
        ) from error


def _build(site: SiteFolder, sources: Sources, renderer: Renderer, assets: Assets, tell: Tell) -> Built:
    units = sources.runs.prototypes
    order = [] if units is None else units.important
    total = len(sources.classes) + len(order) + 1
    site.part(ASSETS_KEY, sources.digest(["assets"]), object, lambda files: _write_assets(assets, files))
    classes, digests = [], []
    for done, cls in enumerate(sources.classes):
        material = class_material(sources, cls)
        digests.append(class_digest(sources, material))
        key = CLASS_KEY.format(cls)
        classes.append(site.part(key, digests[-1], ClassSummary, partial(make_class, sources, renderer, material)))
        tell(done + 1, total)
    listed = []
    for place in range(len(order)):
        listed.append(_unit(site, sources, renderer, order, place))
        tell(len(classes) + place + 1, total)
    rest = sources.digest([digests, *_of_all(sources)])
    site.part(SITE_KEY, rest, Site, lambda files: make_site(sources, renderer, classes, listed, site, files))
    removed = site.finish()
    tell(total, total)
    if missing := sources.images.unread:
        warn(
            f"{counted(len(missing), 'picture')} cannot be read from images, such as {printable(missing[0], 80)}: their"
            " samples are shown without",
            stacklevel=3,
        )
    return Built(site.root, len(classes), site.made, removed)


def _unit(site: SiteFolder, sources: Sources, renderer: Renderer, order: list[int], place: int) -> Unit:
    """The part of a site that a unit is."""
    units, unit = sources.runs.prototypes, order[place]
    assert units is not None
    neighbors = (order[place - 1] if place else None, order[place + 1] if place + 1 < len(order) else None)
    users = units.summary["users"]
    links = [sources.link(cls) for cls, _ in (users[unit] if users is not None else ())]
    optimized = seals(run.of_unit(unit) for run in sources.runs.visualizations)
    labels = [sources.link(patch.label) for side in (1, -1) for patch in units.of(unit, side, 10) if patch.label >= 0]

    def make(files: PartFiles) -> Unit:
        page = prototype_page(sources, units, unit, neighbors, Media(files, UNIT_KEY.format(unit)))
        renderer.write(files, page)
        return page.unit

    inputs = sources.digest(
        [units.digest(), units.summary["importance"][unit], unit, neighbors, links, optimized, labels]
    )
    return site.part(UNIT_KEY.format(unit), inputs, Unit, make)


def _write_assets(assets: Assets, files: PartFiles) -> None:
    for address, content in assets.contents.items():
        files.write(address, content)


def _of_all(sources: Sources) -> Iterator[object]:
    """What pages say that is of no single class."""
    for runs, predictions in ((sources.runs, sources.predictions), (sources.other, sources.other_predictions)):
        if runs is not None and predictions is not None:
            yield [model_facts(runs), run_facts(runs), predictions.digest()]
            yield [run.digest() for run in runs.benchmarks.values()]
            yield "" if runs.prototypes is None else runs.prototypes.digest()


def _classes(runs: Runs, predictions: Predictions, explained: Explained) -> list[int]:
    """Classes that have a page: those that something is known of."""
    found = {*predictions.classes, *explained.classes, *(cls for run in runs.concepts for cls in run.classes)}
    found |= {cls for run in runs.visualizations for cls in run.classes}
    if not found and runs.prototypes is not None:
        found |= set(range(len(runs.prototypes.summary["own"] or ())))
    return sorted(found)


def _site(runs: Runs, other: Runs | None, classes: bool) -> Site:
    kinds = ["overview", *(["class"] if classes else []), *(["concept"] if runs.concepts else [])]
    kinds += ["gallery", "failures"] if runs.concepts or runs.stores else []
    kinds += ["prototypes"] if runs.prototypes is not None else []
    kinds += ["comparison"] if other is not None else []
    model = shown(runs.model_name)
    title = f"What {model} has learned" if model else "What a model has learned"
    return Site(title, model, __version__, navigation(runs, other), (*kinds, "search"))


def _code(assets: Assets) -> str:
    """Digest of templates, styles and scripts."""
    sha = hashlib.sha256()
    for name, content in sorted({**assets.templates(), **assets.contents}.items()):
        sha.update(f"{name} {len(content)} ".encode() + content)
    return sha.hexdigest()


def _place(out: str | os.PathLike[str], runs: Sequence[Path]) -> Path:
    """The folder of the site.

    Raises:
        InputError: It cannot be written, has files of others, or lies in a run.
    """
    folder = given_path(out, "out")
    check_place(folder, "out")
    place = Path(os.path.realpath(folder))
    for run in runs:
        other = Path(os.path.realpath(run))
        if place == other or other in place.parents:
            raise InputError(
                f"out {printable(folder, 200)} lies in the folder of the run {printable(run, 120)}: choose a folder"
                " outside of it"
            )
    check_own_folder(folder, "out", lambda found: is_marked(found, VERB))
    return folder
