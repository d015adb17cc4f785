"""What the pathologist checks a slide by: a zoomable page that opens from a folder, without a server.

In: an open `Slide`, its `TissueMask`, and the tables of cells and vessels as saved.
Out: ``overlay/`` with the page, its data and one script per field. Knows no engine.
"""

from tme.overlay.assets import write_assets
from tme.overlay.overview import Overview, read_overview, write_thumbnail
from tme.overlay.page import write_overlay

__all__ = ["Overview", "read_overview", "write_assets", "write_overlay", "write_thumbnail"]
