"""Where the model fails."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import msgspec

from lit_coiba.core.errors import InputError
from lit_coiba.explorer.class_part import ClassSummary
from lit_coiba.explorer.page_data import ConfusedPair, FailuresPage, GalleryPage, Sample, WorstClass
from lit_coiba.explorer.pages.gallery_page import known_sample, samples_of_page
from lit_coiba.explorer.predictions import Prediction
from lit_coiba.explorer.site_folder import SiteFolder
from lit_coiba.explorer.sources import Sources, gallery_address
from lit_coiba.files.json_text import decode_json

WORST, PAIRS, ERRORS, LOWEST = 30, 40, 40, 30


def failures(sources: Sources, classes: Sequence[ClassSummary], site: SiteFolder) -> FailuresPage:
    """What the page of failures says.

    Args:
        sources: All runs.
        classes: Summaries of all classes.
        site: The site, whose pages of samples are there.
    """
    labelled, correct = sources.predictions.counts()
    pairs = Counter({(label, predicted): count for label, predicted, count in sources.predictions.confused()})
    errors = [_sample(sources, site, one) for one in sources.predictions.most_certain_errors(ERRORS)]
    low = sorted((one for summary in classes for one in summary.low), key=lambda one: (one.score, one.id, one.method))
    energy = next((run.energy for run in sources.runs.benchmarks.values() if run.energy), "")
    return FailuresPage(
        title="Failures",
        address="failures.html",
        known=labelled > 0,
        n_labelled=labelled,
        n_wrong=labelled - correct,
        worst=_worst(sources, classes, pairs),
        pairs=tuple(
            ConfusedPair(sources.link(label), sources.link(predicted), count)
            for (label, predicted), count in sorted(pairs.items(), key=lambda pair: (-pair[1], pair[0]))[:PAIRS]
        ),
        errors=tuple(sample for sample, _ in errors),
        addresses=tuple(address for _, address in errors),
        background=tuple(low[:LOWEST]),
        metric=energy,
    )


def _worst(
    sources: Sources, classes: Sequence[ClassSummary], pairs: Counter[tuple[int, int]]
) -> tuple[WorstClass, ...]:
    known = [(one.accuracy, one) for one in classes if one.accuracy is not None and one.accuracy < 1]
    taken: dict[int, tuple[int, int]] = {}  # class -> (images, class that they are given)
    for (label, predicted), count in pairs.items():
        if count > taken.get(label, (0, 0))[0]:
            taken[label] = count, predicted
    found = []
    for accuracy, one in sorted(known, key=lambda pair: (pair[0], -pair[1].n_labelled, pair[1].id))[:WORST]:
        count, other = taken.get(one.id, (0, None))
        link = None if other is None else sources.link(other)
        found.append(WorstClass(sources.link(one.id), accuracy, one.n_labelled, link, count))
    return tuple(found)


def _sample(sources: Sources, site: SiteFolder, one: Prediction) -> tuple[Sample, str | None]:
    """A sample without its maps, and its address, as the page of samples has it; without a picture, if none has it."""
    assert one.predicted is not None
    names = sources.explained.samples(one.predicted)
    if one.id not in names:
        return known_sample(sources, one), None
    number = names.index(one.id)
    size = samples_of_page(len(sources.runs.stores))
    address = gallery_address(one.predicted, number // size)
    try:
        page: GalleryPage = decode_json(site.read(address.replace(".html", ".json")), GalleryPage)
        sample = page.samples[number % size]
    except (OSError, ValueError, IndexError) as error:
        raise InputError(f"out: the site's {address} is damaged: build it again") from error
    return msgspec.structs.replace(sample, maps=()), f"{address}#s{number}"
