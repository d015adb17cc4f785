"""The costly stages of one slide, each saved under the key of all it depends on.

Keys form a chain: a stage's key holds the key of the stage before it, its own settings and the
version of its algorithm, so that a change makes exactly the stages behind it run again.
"""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

import pyarrow as pa

from tme.cells.engines import load_engine
from tme.cells.stage import cell_provenance, cell_slices, cells_possible
from tme.cells.stitch import Tally
from tme.cells.types import CELL_SCHEMA, Cells
from tme.config import Config, settings_hash
from tme.pipeline.inputs import engine_version, own_stain_settings
from tme.pipeline.source import TravellingSlide
from tme.pipeline.stage_store import StageStore
from tme.pipeline.versions import STAGES
from tme.register import read_map, save_map
from tme.stains import Stain, StainProfile
from tme.stains.calibration import Frozen
from tme.stains.estimate import estimate_profile
from tme.tables import SavedTable, read_parquet, write_parquet, write_slices
from tme.tiles import Runner
from tme.tissue import find_tissue, load_mask, save_mask, with_unreadable
from tme.tissue.types import TissueMask
from tme.vessels import find_vessels, vessels_possible
from tme.vessels.types import Vessels


class SlideStages:
    """Runs or finds again the stages of one slide.

    Parameters
    ----------
    store : StageStore
    slide : TravellingSlide
    stain : Stain
    config : Config
    frozen : Frozen, optional
        What the calibration named in the settings has for the slide.
    """

    def __init__(
        self,
        store: StageStore,
        slide: TravellingSlide,
        stain: Stain,
        config: Config,
        frozen: Frozen | None = None,
    ) -> None:
        self.store = store
        self.slide = slide
        self.stain = stain
        self.config = config
        self.frozen = frozen
        left_out = sorted(slide.source.left_out)
        self.key = settings_hash([slide.source.content, slide.source.mpp, *([left_out] if left_out else [])])

    def _next_key(self, name: str, *settings: Any) -> str:
        parts = [settings_hash(part) for part in settings]
        return settings_hash([self.key, name, STAGES[name], *parts])

    def tissue(self) -> TissueMask:
        """Tissue and artefacts; ``tissue.png``."""
        self.key = self._next_key("tissue", self.config.tissue)

        def compute(folder: Path) -> Any:
            mask = find_tissue(self.slide, self.config.tissue)
            return save_mask(folder / "tissue.png", with_unreadable(mask, self.slide.unreadable_um()))

        folder, header = self.store.run("tissue", self.key, compute)
        return load_mask(folder / "tissue.png", header)

    def profile(self, tissue: TissueMask) -> StainProfile:
        """The slide's stain: vectors, background, threshold."""
        settings = own_stain_settings(self.config)
        frozen = asdict(self.frozen) if self.frozen else None
        self.key = self._next_key("stain", settings, self.stain.name, frozen)

        def compute(_: Path) -> Any:
            return asdict(estimate_profile(self.slide, tissue, self.stain, settings, frozen=self.frozen))

        _, value = self.store.run("stain", self.key, compute)
        return StainProfile.from_json(value)

    def section(self, profile: StainProfile) -> None:
        """What the section looks like whatever is stained on it, to register others to; ``section.png``."""

        def compute(folder: Path) -> Any:
            save_map(folder / "section.png", read_map(self.slide, profile))

        self.store.run("section", self._next_key("section"), compute)

    def cells(
        self, tissue: TissueMask, profile: StainProfile, runner: Runner[Any]
    ) -> tuple[Cells | None, str]:
        """Cells, or None with the reason why there are none to count."""
        if "cells" not in self.stain.targets:
            return None, f"{self.stain.name} is not read for cells"
        reason = cells_possible(self.slide.info) or profile.no_count
        if reason:
            return None, reason
        settings = self.config.cells
        # Weights count by their content, not by their path.
        settled = settings.model_copy(update={"weights": None})
        model = (engine_version(self.config), load_engine(settings).model_sha256)
        key = self._next_key("cells", settled, *model)

        def compute(folder: Path) -> Any:
            task_px = self.config.run.task_px
            tally = Tally()
            slices = cell_slices(
                self.slide, tissue, profile, self.stain, settings, runner, task_px, folder, tally
            )
            write_slices(folder / "cells.parquet", CELL_SCHEMA, slices)
            return cell_provenance(self.slide.info, tissue, settings, profile, tally)

        folder, provenance = self.store.run("cells", key, compute)
        return Cells(SavedTable(folder / "cells.parquet"), provenance), ""

    def vessels(
        self, tissue: TissueMask, profile: StainProfile, runner: Runner[Any]
    ) -> tuple[Vessels | None, str]:
        """Vessels, or None with the reason why there are none to count."""
        if "vessels" not in self.stain.targets:
            return None, f"{self.stain.name} is not read for vessels"
        reason = vessels_possible(self.slide.info) or profile.no_count
        if reason:
            return None, reason
        settings = self.config.vessels
        key = self._next_key("vessels", settings)

        def compute(folder: Path) -> Any:
            task_px = self.config.run.task_px
            vessels = find_vessels(self.slide, tissue, profile, self.stain, settings, runner, task_px)
            write_parquet(folder / "vessels.parquet", vessels.table, ["geometry"])
            return vessels.provenance

        folder, provenance = self.store.run("vessels", key, compute)
        return Vessels(_blank(read_parquet(folder / "vessels.parquet")), provenance), ""


def _blank(table: pa.Table) -> pa.Table:
    """The table as the stage made it: what later stages fill in is empty again.

    A published table is found again with its compartments, which belong to older annotations.
    """
    for name in ("compartment", "in_hotspot"):
        index = table.schema.get_field_index(name)
        field = table.schema.field(index)
        table = table.set_column(index, field, pa.nulls(table.num_rows, field.type))
    return table
