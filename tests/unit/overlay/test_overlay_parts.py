"""Fields, density, outlines and the small picture: what the overlay page is made of."""

from __future__ import annotations

import io
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from tests.made_objects import cell_table, octagons, plain_slide, tissue_mask, vessel_table
from tme.geometry import Box
from tme.overlay import palette
from tme.overlay.density import OUTSIDE, Counted, counted_objects, density_map, per_square
from tme.overlay.fields import BORDER, HIGHEST, MEDIAN, ORDER, RANDOM, Field, choose_fields
from tme.overlay.layers import field_objects, mask_rings, reduced_mask
from tme.overlay.overview import jpeg_bytes, read_overview, write_thumbnail
from tme.regions.walls import make_walls
from tme.testing.memory import ArraySlide


def points(x_um: list[float], y_um: list[float]) -> Counted:
    return Counted("TILs", np.array(x_um, float), np.array(y_um, float), np.ones(len(x_um)))


class TestCounted:
    def test_tils_come_first_and_a_cluster_counts_what_it_holds(self) -> None:
        count = pa.array([None, 4, None, 7], pa.int32())
        table = cell_table(4, 100, 100, 0.5, is_til=[True, True, False, False], cluster_count=count)
        found = counted_objects(table, None)
        assert found is not None
        assert (found.title, found.weight.tolist()) == ("TILs", [1.0, 4.0])

    def test_without_tils_positive_cells_then_nuclei(self) -> None:
        unknown = pa.nulls(3, pa.bool_())
        positive = cell_table(3, 100, 100, 0.5, is_til=unknown, positive=[True, False, None])
        nuclei = cell_table(3, 100, 100, 0.5, is_til=unknown, positive=unknown)
        titles = [
            (c.title, len(c.x_um)) for c in map(lambda t: counted_objects(t, None), (positive, nuclei)) if c
        ]
        assert titles == [("positive cells", 1), ("nuclei", 3)]

    def test_vessels_win_and_nothing_is_none(self) -> None:
        vessels = counted_objects(cell_table(3, 99, 99, 0.5), vessel_table(2, 99, 99, 0.5))
        assert vessels is not None
        assert vessels.title == "vessels"
        assert counted_objects(None, None) is None

    def test_a_vessel_lies_where_its_wall_does(self) -> None:
        tissue = tissue_mask(plain_slide(1200, 1200))
        rows, columns = (np.mgrid[:150, :150] + 0.5) * tissue.mpp
        tissue.tissue[np.hypot(columns - 300, rows - 300) < 70] = False
        ring = shapely.Point(600, 600).buffer(160)
        vessels = vessel_table(
            1, 1200, 1200, 0.5, x_um=[300.0], y_um=[300.0], geometry=[shapely.to_wkb(ring)]
        )
        found = counted_objects(None, vessels, make_walls(vessels, 0.5, tissue))
        assert found is not None
        assert found.usable(tissue).tolist() == [True]
        assert per_square(found, tissue, 100.0)[0].sum() == 1
        assert not replace(found, walls=None).usable(tissue).any()


class TestDensity:
    def test_even_points_give_an_even_map_of_the_right_height(self) -> None:
        tissue = tissue_mask(plain_slide(4000, 4000, 0.5))
        x, y = (axis.ravel() for axis in np.meshgrid(np.arange(5, 2000, 20.0), np.arange(5, 2000, 20.0)))
        made = density_map(Counted("TILs", x, y, np.ones(x.size)), tissue)
        values = made.steps[made.steps != OUTSIDE] * made.top_per_mm2 / 254
        np.testing.assert_allclose(np.median(values), 2500, rtol=0.02)
        assert made.top_per_mm2 < 2700

    def test_squares_count_usable_tissue_only(self) -> None:
        tissue = tissue_mask(plain_slide(), artefact="pen")
        counts, usable, artefact = per_square(points([10, 400, 400], [300, 300, 590]), tissue, 100.0)
        assert counts.sum() == 1
        assert usable.sum() == pytest.approx(tissue.area_mm2(tissue.usable), rel=1e-6)
        assert artefact.sum() == pytest.approx(tissue.area_mm2(tissue.tissue & ~tissue.usable), rel=1e-6)

    def test_glass_and_artefacts_are_outside(self) -> None:
        tissue = tissue_mask(plain_slide(), artefact="blur", share=0.5)
        made = density_map(points([400.0], [200.0]), tissue)
        assert (made.steps[:, 0] == OUTSIDE).all()
        assert (made.steps[-1] == OUTSIDE).all()
        assert made.steps[made.steps != OUTSIDE].max() == 254

    def test_no_object_is_a_map_of_zeros(self) -> None:
        made = density_map(points([], []), tissue_mask(plain_slide()))
        assert made.top_per_mm2 == 0
        assert set(np.unique(made.steps)) == {0, OUTSIDE}


class TestFields:
    def test_strata_are_those_promised(self) -> None:
        slide = plain_slide(8000, 6000)
        tissue = tissue_mask(slide, artefact="pen", share=0.2)
        counted = counted_objects(cell_table(3000, 8000, 6000, 0.5), None)
        fields = choose_fields(slide.info, tissue, counted, 6, 400.0)
        assert [field.reason for field in fields] == [HIGHEST, HIGHEST, MEDIAN, RANDOM, RANDOM, BORDER]
        assert all((field.box.width, field.box.height) == (800, 800) for field in fields)
        assert fields == choose_fields(slide.info, tissue, counted, 6, 400.0)

    def test_the_densest_place_is_shown(self) -> None:
        slide = plain_slide(8000, 6000)
        x, y = np.full(50, 3050.0), np.full(50, 2250.0)
        fields = choose_fields(slide.info, tissue_mask(slide), points(x.tolist(), y.tolist()), 1, 400.0)
        (field,) = fields
        assert field.x_um <= 3050 < field.x_um + field.width_um
        assert field.y_um <= 2250 < field.y_um + field.height_um

    def test_without_objects_places_are_random_and_without_tissue_none(self) -> None:
        slide = plain_slide()
        tissue = tissue_mask(slide)
        assert {field.reason for field in choose_fields(slide.info, tissue, None, 2, 200.0)} == {RANDOM}
        empty = replace(tissue, tissue=np.zeros_like(tissue.tissue))
        assert choose_fields(slide.info, empty, None, 6, 200.0) == ()

    def test_a_slide_smaller_than_a_field_is_shown_whole(self) -> None:
        slide = plain_slide(256, 200, 0.5)
        (field,) = choose_fields(slide.info, tissue_mask(slide), None, 6, 400.0)
        assert field.box == Box(0, 0, 200, 256)

    def test_coarse_slides_are_not_enlarged_and_fine_ones_are_reduced(self) -> None:
        for mpp, shown in ((0.25, 0.5), (0.499, 0.499), (0.65, 0.65)):
            slide = plain_slide(1200, 900, mpp)
            assert choose_fields(slide.info, tissue_mask(slide), None, 1, 100.0)[0].mpp == shown

    @given(
        width=st.integers(120, 3000),
        height=st.integers(120, 3000),
        number=st.integers(1, 12),
        side=st.sampled_from([90.0, 250.0, 401.3]),
        seed=st.integers(0, 5),
    )
    @settings(max_examples=25)
    def test_fields_lie_on_the_slide_and_never_overlap(
        self, width: int, height: int, number: int, side: float, seed: int
    ) -> None:
        slide = ArraySlide(np.zeros((height, width, 3), np.uint8), 0.5)
        tissue = tissue_mask(slide, artefact="fold")
        counted = counted_objects(cell_table(200, width, height, 0.5, seed), None)
        fields = choose_fields(slide.info, tissue, counted, number, side)
        assert 1 <= len(fields) <= number
        assert [ORDER.index(field.reason) for field in fields] == sorted(
            ORDER.index(field.reason) for field in fields
        )
        for i, field in enumerate(fields):
            assert field.box == field.box.clip(width, height)
            assert not field.box.empty
            for other in fields[:i]:
                assert field.box.intersect(other.box).empty


class TestOutlines:
    field = Field(Box(200, 100, 600, 500), 0.5, RANDOM)

    def test_objects_are_grouped_counted_and_come_back_in_micrometres(self) -> None:
        x, y = np.array([300.0, 102.0, 1500.0]), np.array([400.0, 300.0, 300.0])
        outlines = octagons(x, y, np.full(3, 8.0))
        columns = {
            "x_um": x * 0.5,
            "y_um": y * 0.5,
            "geometry": shapely.to_wkb(outlines).tolist(),
            "class_prob": pa.array([0.912, None, 0.5], pa.float32()),
            "class": ["other", "lymphocyte", "other"],
        }
        table = cell_table(3, 2000, 2000, 0.5, **columns)
        groups = field_objects(self.field, 0.5, table, None)
        assert [(g["name"], g["count"], g["id"]) for g in groups] == [
            ("lymphocyte", 1, [1]),
            ("other", 1, [0]),
        ]
        assert [g["prob"] for g in groups] == [[None], [0.91]]
        steps = np.array(groups[1]["rings"][0]).reshape(-1, 2)
        drawn = shapely.Polygon(np.cumsum(steps, axis=0) / 10 + [50.0, 100.0])
        truth = shapely.affinity.scale(outlines[0], 0.5, 0.5, origin=(0, 0))
        assert drawn.symmetric_difference(truth).area < 0.05 * truth.area

    def test_a_long_vessel_is_drawn_where_it_passes_and_counted_where_its_centre_lies(self) -> None:
        vessel = shapely.box(0, 390, 4000, 420)
        table = vessel_table(
            1, 10, 10, 0.5, x_um=[1000.0], y_um=[202.5], max_feret_um=pa.array([2000.0], pa.float32()),
            geometry=[shapely.to_wkb(vessel)],
        )  # fmt: skip
        (group,) = field_objects(self.field, 0.5, None, table)
        assert (group["name"], group["count"], len(group["rings"])) == ("vessel", 0, 1)

    def test_cells_without_a_class_are_shown_as_such(self) -> None:
        table = cell_table(40, 1000, 1000, 0.5, **{"class": pa.nulls(40, pa.string())})
        (group,) = field_objects(self.field, 0.5, table, None)
        assert (group["title"], group["colour"]) == ("unclassified", palette.UNKNOWN_COLOUR)

    def test_mask_rings_enclose_the_mask(self) -> None:
        mask = np.zeros((60, 80), bool)
        mask[10:40, 20:70] = True
        mask[20:30, 30:40] = False
        rings = mask_rings(mask, 4.0, 4.0)
        areas = sorted(shapely.Polygon(np.array(ring).reshape(-1, 2)).area for ring in rings)
        assert len(rings) == 2
        assert areas[1] == pytest.approx(50 * 30 * 16, rel=0.08)
        assert mask_rings(np.zeros((5, 5), bool), 4.0, 4.0) == []

    @pytest.mark.parametrize("longest", [7, 10, 30, 60, 100])
    def test_a_reduced_mask_hides_nothing(self, longest: int) -> None:
        mask = np.random.default_rng(0).random((60, 41)) < 0.01
        small, mpp = reduced_mask(mask, 4.0, longest)
        assert max(small.shape) <= longest
        rows, columns = np.nonzero(mask)
        scale = mpp / 4.0
        assert small[(rows / scale).astype(int), (columns / scale).astype(int)].all()
        assert small.sum() <= mask.sum()


class TestOverview:
    def test_read_in_parts_gives_the_same_pixels(self, monkeypatch: pytest.MonkeyPatch) -> None:
        slide = plain_slide(900, 700)
        whole = read_overview(slide, 300)
        monkeypatch.setattr("tme.overlay.overview.READ_PX", 130)
        parts = read_overview(slide, 300)
        assert max(whole.pixels.shape) in (300, 301)
        np.testing.assert_array_equal(whole.pixels, parts.pixels)

    def test_a_small_slide_is_not_enlarged(self) -> None:
        slide = plain_slide(90, 70)
        np.testing.assert_array_equal(read_overview(slide).pixels, slide.pixels)

    def test_pictures_carry_no_metadata(self, tmp_path) -> None:  # type: ignore[no-untyped-def]
        overview = read_overview(plain_slide(900, 700))
        write_thumbnail(tmp_path / "t.jpg", overview, 200)
        for content in ((tmp_path / "t.jpg").read_bytes(), jpeg_bytes(overview.pixels)):
            with Image.open(io.BytesIO(content)) as image:
                assert not image.getexif()
                assert set(image.info) <= {"jfif", "jfif_version", "jfif_unit", "jfif_density"}
        with Image.open(tmp_path / "t.jpg") as image:
            assert image.size == (200, 156)


def test_the_palette_is_that_of_okabe_and_ito() -> None:
    eight = {
        palette.ORANGE, palette.SKY_BLUE, palette.BLUISH_GREEN, palette.YELLOW,
        palette.BLUE, palette.VERMILLION, palette.REDDISH_PURPLE, palette.BLACK,
    }  # fmt: skip
    used = {
        *palette.CLASS_COLOURS.values(),
        *palette.ARTEFACT_COLOURS.values(),
        *palette.REGION_COLOURS.values(),
    }
    assert len(eight) == 8
    assert used <= eight
    assert palette.rgb(palette.ORANGE) == (230, 159, 0)
    ramp = palette.density_ramp(255)
    assert len(ramp) == 255
    assert (ramp[0], ramp[-1]) == (
        palette.rgb(palette.DENSITY_COLOURS[0]),
        palette.rgb(palette.DENSITY_COLOURS[-1]),
    )
