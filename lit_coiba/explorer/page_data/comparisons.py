"""Two models on the same classes."""

from __future__ import annotations

from typing import ClassVar

import msgspec

from lit_coiba.explorer.page_data.page import ClassLink, Fact, Page, Picture


class ModelSide(msgspec.Struct, frozen=True, kw_only=True):
    """One of two models."""

    name: str
    facts: tuple[Fact, ...]
    accuracy: float | None
    n_images: int
    error: float | None  # of its concepts, mean over classes
    sparsity: float | None
    stability: float | None


class ClassDifference(msgspec.Struct, frozen=True, kw_only=True):
    """A class in two models."""

    cls: ClassLink  # its address is that of the comparison of the class
    accuracy: tuple[float | None, float | None]
    n_labelled: tuple[int, int]
    concepts: tuple[int, int]


class ComparisonPage(Page, frozen=True, kw_only=True):
    """Two models; all classes are ``beside["classes"]``, a list of `ClassDifference`."""

    template: ClassVar[str] = "comparison"
    sides: tuple[ModelSide, ModelSide]
    classes: tuple[ClassDifference, ...]  # largest difference of accuracy first
    total: int  # classes
    n_common: int  # images that both saw
    agreement: float | None  # part of them with the same prediction
    only_first: int  # images that only the first gets right
    only_second: int


class ConceptBrief(msgspec.Struct, frozen=True, kw_only=True):
    """A concept of one of two models."""

    id: int
    name: str
    color: str
    address: str | None  # None = the other model's, which has no page
    percent: int | None
    importance: float
    important: bool
    visualization: Picture | None
    crops: tuple[Picture, ...]  # the strongest three


class ClassSide(msgspec.Struct, frozen=True, kw_only=True):
    """A class in one of two models."""

    model: str
    layer: str
    accuracy: float | None
    n_images: int
    n_labelled: int
    logit: float | None
    error: float | None
    sparsity: float | None
    stability: float | None
    concepts: tuple[ConceptBrief, ...]  # most important first


class ClassComparisonPage(Page, frozen=True, kw_only=True):
    """A class in two models, side by side."""

    template: ClassVar[str] = "class_comparison"
    cls: ClassLink
    sides: tuple[ClassSide, ClassSide]
    n_common: int
    only_first: tuple[tuple[str, Picture | None], ...]  # images of the class that only the first gets right
    only_second: tuple[tuple[str, Picture | None], ...]
