"""Pictures of explanations: files, and never a window."""

from lit_coiba.pictures.comparison import Comparison, comparison
from lit_coiba.pictures.contact_sheet import contact_sheet
from lit_coiba.pictures.overlay import full_scale, heat, overlay, relative

__all__ = ["Comparison", "comparison", "contact_sheet", "full_scale", "heat", "overlay", "relative"]
