"""What a layer sees: concepts of a class, found by factorizing activations (CRAFT), their importance and their maps."""

from typing import TYPE_CHECKING

from lit_coiba.core.lazy import lazily

if TYPE_CHECKING:  # for type checkers and editors; what runs is found by `lazily`
    from lit_coiba.concepts.class_report import ClassReport as ClassReport
    from lit_coiba.concepts.class_report import ConceptReport as ConceptReport
    from lit_coiba.concepts.concept_dictionary import ConceptDictionary as ConceptDictionary
    from lit_coiba.concepts.concept_network import ConceptNetwork as ConceptNetwork
    from lit_coiba.concepts.concept_run import ConceptRun as ConceptRun
    from lit_coiba.concepts.concepts import Concepts as Concepts
    from lit_coiba.concepts.craft import CRAFT as CRAFT
    from lit_coiba.concepts.dictionary_quality import DictionaryScore as DictionaryScore
    from lit_coiba.concepts.dictionary_quality import dictionary_score as dictionary_score
    from lit_coiba.concepts.dictionary_quality import dictionary_table as dictionary_table
    from lit_coiba.concepts.effects import Effects as Effects
    from lit_coiba.concepts.effects import concept_effects as concept_effects
    from lit_coiba.concepts.encoding import encode as encode
    from lit_coiba.concepts.factorization import Factorization as Factorization
    from lit_coiba.concepts.factorization import Factors as Factors
    from lit_coiba.concepts.importance import ImageImportance as ImageImportance
    from lit_coiba.concepts.importance import Importance as Importance
    from lit_coiba.concepts.importance import image_importance as image_importance
    from lit_coiba.concepts.k_means import KMeans as KMeans
    from lit_coiba.concepts.nmf import NMF as NMF
    from lit_coiba.concepts.pca import PCA as PCA
    from lit_coiba.concepts.quality import Matching as Matching
    from lit_coiba.concepts.quality import Stability as Stability
    from lit_coiba.concepts.quality import match_concepts as match_concepts
    from lit_coiba.concepts.quality import relative_error as relative_error
    from lit_coiba.concepts.quality import stability as stability
    from lit_coiba.concepts.recursion import ConceptTree as ConceptTree
    from lit_coiba.concepts.recursion import concept_tree as concept_tree
    from lit_coiba.concepts.semi_nmf import SemiNMF as SemiNMF
    from lit_coiba.concepts.sparse_autoencoder import SparseAutoencoder as SparseAutoencoder
    from lit_coiba.core.targets import Concept as Concept

__getattr__, __dir__ = lazily(
    __name__,
    {
        "CRAFT": "lit_coiba.concepts.craft",
        "ClassReport": "lit_coiba.concepts.class_report",
        "Concept": "lit_coiba.core.targets",
        "ConceptDictionary": "lit_coiba.concepts.concept_dictionary",
        "ConceptNetwork": "lit_coiba.concepts.concept_network",
        "ConceptReport": "lit_coiba.concepts.class_report",
        "ConceptRun": "lit_coiba.concepts.concept_run",
        "ConceptTree": "lit_coiba.concepts.recursion",
        "Concepts": "lit_coiba.concepts.concepts",
        "DictionaryScore": "lit_coiba.concepts.dictionary_quality",
        "Effects": "lit_coiba.concepts.effects",
        "Factorization": "lit_coiba.concepts.factorization",
        "Factors": "lit_coiba.concepts.factorization",
        "ImageImportance": "lit_coiba.concepts.importance",
        "Importance": "lit_coiba.concepts.importance",
        "Matching": "lit_coiba.concepts.quality",
        "SparseAutoencoder": "lit_coiba.concepts.sparse_autoencoder",
        "Stability": "lit_coiba.concepts.quality",
        "concept_effects": "lit_coiba.concepts.effects",
        "concept_tree": "lit_coiba.concepts.recursion",
        "dictionary_score": "lit_coiba.concepts.dictionary_quality",
        "dictionary_table": "lit_coiba.concepts.dictionary_quality",
        "encode": "lit_coiba.concepts.encoding",
        "image_importance": "lit_coiba.concepts.importance",
        "match_concepts": "lit_coiba.concepts.quality",
        "relative_error": "lit_coiba.concepts.quality",
        "stability": "lit_coiba.concepts.quality",
    },
    folders=("lit_coiba.concepts",),
    base="lit_coiba.concepts.factorization.Factorization",
)
