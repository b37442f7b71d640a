"""Pictures of explanations: files, and never a window."""

from lit_coiba.visualization.comparison import Comparison, comparison
from lit_coiba.visualization.contact_sheet import contact_sheet
from lit_coiba.visualization.overlay import full_scale, heat, overlay, relative

__all__ = ["Comparison", "comparison", "contact_sheet", "full_scale", "heat", "overlay", "relative"]
