"""What a layer sees: concepts of a class, found by factorizing activations (CRAFT), their importance and their maps."""

from lit_coiba.concepts.concept_network import ConceptNetwork
from lit_coiba.concepts.concepts import Concepts
from lit_coiba.concepts.craft import CRAFT
from lit_coiba.concepts.encoding import encode
from lit_coiba.concepts.factorization import Factorization, Factors
from lit_coiba.concepts.importance import ImageImportance, Importance, image_importance
from lit_coiba.concepts.k_means import KMeans
from lit_coiba.concepts.nmf import NMF
from lit_coiba.concepts.pca import PCA
from lit_coiba.concepts.quality import Matching, Stability, match_concepts, relative_error, stability
from lit_coiba.concepts.semi_nmf import SemiNMF
from lit_coiba.core.targets import Concept

__all__ = [
    "CRAFT",
    "NMF",
    "PCA",
    "Concept",
    "ConceptNetwork",
    "Concepts",
    "Factorization",
    "Factors",
    "ImageImportance",
    "Importance",
    "KMeans",
    "Matching",
    "SemiNMF",
    "Stability",
    "encode",
    "image_importance",
    "match_concepts",
    "relative_error",
    "stability",
]
