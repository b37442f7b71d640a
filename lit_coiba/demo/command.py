"""The command ``lit-coiba demo``."""

from __future__ import annotations

# Of what an older version left in a folder without a marker.
NAMES = ("synthetic_parts_", "infodisent", "photographs", "concepts", "site", "tensorboard", "demo.png")


def demo(
    output: str = "runs/demo",
    images: int = 64,
    photos: bool = True,
    steps: int = 10,
    heads: bool = True,
    explorer: bool = True,
) -> int:
    """Explain generated objects and real photographs, measure the maps, and train a head that explains itself.

    SyntheticParts comes with two trained models and knows where the evidence is: in the five parts of each object.
    CoIBA, its trained readout, IBA, gradient saliency and random maps explain some of its test images, and a table says
    which of them to believe. An InfoDisent head is trained on the frozen vision transformer, its prototypes are looked
    up, and decisions are drawn that look like them. Three photographs are explained for an ImageNet classifier. At the
    end the concepts of some classes of the CNN are found, and a site is written that shows them beside maps and scores.
    The same call again continues where it stopped.

    Args:
        output: Folder for stores, contact sheets, TensorBoard logs and a picture of all methods.
        images: Number of SyntheticParts images to explain.
        photos: Whether to explain photographs too; they and the classifier come with the extra: pip install
            'lit-coiba[demo]'.
        steps: Passes that CoIBA and IBA make for a map.
        heads: Whether to train a head too, and show its prototypes and decisions; about a minute.
        explorer: Whether to find concepts too, and write the site; about a minute.

    Returns:
        0, or 3 where some image could not be explained.
    """
    # Imported here, so that the command's help comes at once.
    from rich.console import Console

    from lit_coiba.core.errors import InputError
    from lit_coiba.demo import explorer as pages
    from lit_coiba.demo import heads as interpretable
    from lit_coiba.demo import photographs, report, synthetic
    from lit_coiba.demo.runs import Runner
    from lit_coiba.files.given_path import given_path
    from lit_coiba.files.owned import claim_folder

    if images < 1 or steps < 2:
        raise InputError(f"the demo needs at least 1 image and 2 steps, not {images} and {steps}")
    console, folder = Console(), given_path(output, "output")
    claim_folder(folder, "output", "demo", lambda entry: entry.name.startswith(NAMES))
    runner = Runner(console, steps)
    explained = synthetic.explain(runner, folder, images)
    trained = interpretable.explain(runner, folder / "infodisent") if heads else None
    if photos:
        missing = photographs.missing_packages()
        if missing:
            console.print(
                f"Photographs are left out: {' and '.join(missing)} not installed; pip install 'lit-coiba\\[demo]'."
            )
        else:
            explained.append(photographs.explain(runner, folder))
    site = None
    if explorer and (missing := pages.missing_packages()):
        console.print(f"Concepts are left out: {' and '.join(missing)} not installed; pip install 'lit-coiba\\[demo]'.")
    elif explorer:
        site = pages.write(runner, folder, next(one for one in explained if one.model == "CNN"))
    report.write(console, explained, folder, trained, site)
    stores = [store for one in explained for store in one.stores.values()]
    stores += [trained.decisions] if trained is not None else []
    return 3 if any(store.failures() for store in stores) else 0
