"""Attribution methods, one per file, all with the same verb; the bottlenecks are offered here too."""

from lit_coiba.attribution.head_attribution import HeadAttribution
from lit_coiba.attribution.random_map import RandomMap
from lit_coiba.attribution.saliency import Saliency
from lit_coiba.bottlenecks import IBA, CoIBA

__all__ = ["IBA", "CoIBA", "HeadAttribution", "RandomMap", "Saliency"]
