"""What a layer sees: concepts of a class, found by factorizing activations (CRAFT), their importance and their maps."""

from lit_coiba.concepts.encoding import encode
from lit_coiba.concepts.factorization import Factorization, Factors
from lit_coiba.concepts.k_means import KMeans
from lit_coiba.concepts.nmf import NMF
from lit_coiba.concepts.pca import PCA
from lit_coiba.concepts.quality import Matching, Stability, match_concepts, relative_error, stability
from lit_coiba.concepts.semi_nmf import SemiNMF

__all__ = [
    "NMF",
    "PCA",
    "Factorization",
    "Factors",
    "KMeans",
    "Matching",
    "SemiNMF",
    "Stability",
    "encode",
    "match_concepts",
    "relative_error",
    "stability",
]
