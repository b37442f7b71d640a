"""Whether the explanations of a run have certified radii: what the model allows, and what is in the store already."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from lit_coiba.core.errors import warn
from lit_coiba.lipschitz.certificate import Certificate
from lit_coiba.lipschitz.certifying import certificate_of
from lit_coiba.modules.explainer import Explainer
from lit_coiba.store import ExplanationStore
from lit_coiba.store.manifest import FILE_NAME
from lit_coiba.store.radii import CERTIFIED, has_radii
from lit_coiba.trainer.block_run import BlockRun


def certified_identity(run: BlockRun[Explainer], folder: Path) -> dict[str, Any]:
    """Give the Explainer of a run its certificate, before an image is read; what an identity says of it.

    Args:
        run: The run.
        folder: Folder of the store.

    Raises:
        InputError: `certify` is True, and the model is not 1-Lipschitz, or has a layer whose constant is not known.
    """
    run.model.certificate = found = run.on_rank_zero(lambda: _certificate(run.model, folder))
    return {} if found is None else {CERTIFIED: True}


def _certificate(model: Explainer, folder: Path) -> Certificate | None:
    """The certificate of the rows. All rows of a store have the same columns: one without radii goes on without."""
    found = certificate_of(model.network, model.certify)
    if found is None or model.certify or not (folder / FILE_NAME).exists():
        return found
    store = ExplanationStore(folder)
    same = store.manifest.identity.get("model") == model.network.digest()
    if not same or has_radii(store.manifest) or not store.parts():
        return found
    warn(
        f"store {folder} was begun without certified radii and goes on without them, though the model is 1-Lipschitz:"
        " to have them choose another folder, or set certify to true and do the store again with --if_changed recompute"
    )
    return None
