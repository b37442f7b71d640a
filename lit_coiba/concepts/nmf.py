"""Non-negative matrix factorization, by scikit-learn: the factorization of CRAFT.

Fel et al., "CRAFT: Concept Recursive Activation FacTorization for Explainability", CVPR 2023 (arXiv 2211.10154).
"""

from __future__ import annotations

import warnings
from contextlib import suppress
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor

from lit_coiba.concepts.factorization import Factorization
from lit_coiba.core.errors import InputError, check_choice, check_count, check_positive

Init = Literal["nndsvda", "random"]


class NMF(Factorization):
    """Concepts and coefficients that are both not negative, for activations behind a ReLU.

    Needs scikit-learn: ``pip install 'lit-coiba[concepts]'``.

    Args:
        n_concepts: Number of concepts r.
        init: Start: ``nndsvda`` = singular vectors (the default of the authors), which hardly depends on the seed;
            ``random``, which is taken too where r is larger than the number of rows or channels.
        max_iter: Number of iterations at most.
        tol: Tolerance of the stopping rule.
        seed: Seed of the random draws.

    Raises:
        InputError: A number outside its range.
    """

    def __init__(
        self, n_concepts: int = 20, init: Init = "nndsvda", max_iter: int = 200, tol: float = 1e-4, seed: int = 0
    ) -> None:
        check_count(max_iter=max_iter)
        check_positive(tol=tol)
        self.n_concepts = n_concepts
        self.init: Init = check_choice(init, Init, "init")
        self.max_iter = max_iter
        self.tol = tol
        self.seed = seed
        self._check()

    def _fit(self, activations: Tensor, where: str, seed: int) -> tuple[Tensor, Tensor]:
        """As `Factorization` says.

        Raises:
            InputError: Some activation is negative, or scikit-learn is missing.
        """
        if (least := float(activations.min())) < 0:
            raise InputError(
                f"the activations{where} have negative values (down to {least:.3g}), and NMF takes none: use SemiNMF(),"
                " or a layer behind a ReLU"
            )
        sklearn, ignored = _sklearn()
        values = activations.float().cpu().numpy()
        starts: list[Init] = ["random"]
        if self.init == "nndsvda" and self.n_concepts <= min(values.shape):
            starts.insert(0, "nndsvda")  # not a number where there are fewer directions than concepts
        for start in starts:
            model = sklearn(
                self.n_concepts,
                init=start,
                solver="cd",
                tol=self.tol,
                max_iter=self.max_iter,
                random_state=seed,
            )
            with warnings.catch_warnings(), np.errstate(all="ignore"), suppress(ValueError):  # which says: NaN
                warnings.simplefilter("ignore", ignored)  # the error of the reconstruction says it better
                coefficients, dictionary = model.fit_transform(values), model.components_
                if np.isfinite(coefficients).all() and np.isfinite(dictionary).all():
                    break
        return torch.from_numpy(coefficients), torch.from_numpy(dictionary)


def _sklearn() -> tuple[Any, type[Warning]]:
    """scikit-learn's class, and its warning that the iterations ended early.

    Raises:
        InputError: scikit-learn is missing.
    """
    try:
        from sklearn.decomposition import NMF as sklearn
        from sklearn.exceptions import ConvergenceWarning
    except ImportError as error:
        raise InputError("NMF needs the package scikit-learn: pip install 'lit-coiba[concepts]'") from error
    return sklearn, ConvergenceWarning
