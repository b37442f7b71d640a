"""Pictures of explanations: files, and never a window."""

from lit_coiba.pictures.agg_att import agg_att
from lit_coiba.pictures.comparison import Comparison, comparison
from lit_coiba.pictures.concept_sheet import concept_sheet
from lit_coiba.pictures.contact_sheet import contact_sheet
from lit_coiba.pictures.overlay import heat, overlay
from lit_coiba.pictures.overlay_export import export_overlays
from lit_coiba.pictures.show import save, show
from lit_coiba.pictures.visualization_grid import visualization_grid

__all__ = [
    "Comparison",
    "agg_att",
    "comparison",
    "concept_sheet",
    "contact_sheet",
    "export_overlays",
    "heat",
    "overlay",
    "save",
    "show",
    "visualization_grid",
]
