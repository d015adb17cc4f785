"""tme's own network as an engine: its weights are pinned, its counts do not depend on who computes them."""

from __future__ import annotations

import json
import shutil
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
import shapely
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from tests.cell_scenes import all_tissue, painted, profile_of
from tme.cells.engines import _runtime
from tme.cells.engines._brown import brown_cells
from tme.cells.engines._description import read_description, weights_file
from tme.cells.engines.tmenet import (
    BUNDLED,
    NucleusEngine,
    NucleusSegmenter,
    answer,
    brown_nuclei,
    evidence_of,
    hides_nuclei,
    parted_by,
    rest_of,
    with_others,
)
from tme.cells.instances import decode
from tme.cells.outline import trace
from tme.cells.stage import cluster_counts
from tme.cells.types import Detections
from tme.config import CellSettings, StainSettings
from tme.errors import ConfigError, EngineError
from tme.safety import file_sha256
from tme.slide.types import RGB
from tme.stains import STAINS
from tme.stains.deconvolve import stain_od
from tme.stains.estimate import estimate_profile
from tme.testing.memory import ArraySlide
from tme.testing.render import Rendered, SlideSpec, lay_out, render_slide
from tme.units import um2_to_px

SEED = 77
SIDE = 640
MPP = 0.5
MOST_BYTES = 8_000_000


def engine(**settings: object) -> NucleusEngine:
    return NucleusSegmenter().load(CellSettings(engine="tmenet", **settings))  # type: ignore[arg-type]


def segment(rgb: RGB, one: NucleusEngine | None = None, stain: str = "HE") -> Detections:
    return (one or engine()).segment(np.ascontiguousarray(rgb), MPP, profile_of(stain))


def centres(found: Detections) -> NDArray[np.float64]:
    """(n, 2) row, column of every label."""
    count = int(found.labels.max())
    owner = found.labels.ravel()
    number = np.bincount(owner, minlength=count + 1)[1:]
    rows, columns = np.divmod(np.arange(owner.size), found.labels.shape[1])
    return np.column_stack([np.bincount(owner, axis, count + 1)[1:] / number for axis in (rows, columns)])


def shared_share(one: NDArray[np.float64], two: NDArray[np.float64], within_px: float = 3.0) -> float:
    """Share of the points of either set that have a partner in the other."""
    there = cKDTree(two).query(one)[0] <= within_px
    back = cKDTree(one).query(two)[0] <= within_px
    return float((there.sum() + back.sum()) / (len(one) + len(two)))


@pytest.fixture(scope="module")
def slide() -> Rendered:
    return render_slide(SlideSpec("HE", area_mm2=0.3, til_density_per_mm2=500), SEED)


@pytest.fixture(scope="module")
def field(slide: Rendered) -> RGB:
    tissue = slide.pixels.min(axis=2) < 225
    rows, columns = np.nonzero(tissue)
    top, left = int(np.median(rows)) - SIDE // 2, int(np.median(columns)) - SIDE // 2
    return np.ascontiguousarray(slide.pixels[top : top + SIDE, left : left + SIDE])


def test_weights_that_come_with_tme_are_pinned_and_small() -> None:
    description = read_description(BUNDLED)
    for file in description.files.values():
        assert file_sha256(BUNDLED.parent / file.name) == file.sha256
    assert sum(path.stat().st_size for path in BUNDLED.parent.iterdir()) < MOST_BYTES
    assert engine(precision="fp32").model_sha256 == description.files["fp32"].sha256
    assert engine(precision="int8").model_sha256 == description.files["int8"].sha256


def test_it_finds_the_nuclei_and_lymphocytes_that_were_rendered(slide: Rendered) -> None:
    found = segment(slide.pixels)
    truth = slide.truth.cells
    shown = truth.kind != "ghost"
    points = np.column_stack([truth.y_um, truth.x_um])[shown] / slide.mpp
    assert shared_share(centres(found), points, 6.0) > 0.8
    assert found.til_prob is not None
    assert (found.til_prob >= found.til_least).sum() == pytest.approx(truth.is_til.sum(), rel=0.15)


def test_same_bytes_twice_and_in_threads(field: RGB) -> None:
    one = engine()
    first = segment(field, one)
    with ThreadPoolExecutor(3) as pool:
        others = list(pool.map(lambda _: segment(field, one), range(3)))
    for other in others:
        assert (other.labels == first.labels).all()
        assert other.til_prob is not None
        assert (other.til_prob == first.til_prob).all()
        np.testing.assert_array_equal(other.level, first.level)


def test_threads_begin_one_after_another(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two first inferences at once can hang for ever: see `_runtime._BEGINNING`."""
    network = _runtime._OpenVino(BUNDLED)
    inside: list[int] = []
    most: list[int] = []

    class Request:
        def infer(self, _: object) -> dict[int, NDArray[np.float32]]:
            inside.append(1)
            most.append(len(inside))
            time.sleep(0.05)
            inside.pop()
            return {0: np.zeros((1, 5, 16, 16), np.float32)}

    monkeypatch.setattr(network, "_request", Request)
    start = threading.Barrier(4)

    def run(_: int) -> None:
        start.wait()
        network(np.zeros((16, 16, 3), np.uint8))

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(run, range(4)))
    assert most == [1, 1, 1, 1]


def test_int8_counts_as_fp32_does(field: RGB) -> None:
    exact, quick = (segment(field, engine(precision=p)) for p in ("fp32", "int8"))
    assert shared_share(centres(exact), centres(quick)) > 0.97
    assert quick.labels.max() == pytest.approx(exact.labels.max(), rel=0.02)


def test_the_other_runtime_counts_the_same(field: RGB, monkeypatch: pytest.MonkeyPatch) -> None:
    ours = segment(field, engine(precision="fp32"))
    monkeypatch.setattr(_runtime, "find_spec", lambda name: None if name == "openvino" else True)
    network, name = _runtime.open_network(
        BUNDLED.parent / read_description(BUNDLED).files["fp32"].name, "cpu"
    )
    assert name == "onnxruntime"
    theirs = segment(field, NucleusEngine(read_description(BUNDLED), network, CellSettings(), ""))
    assert theirs.labels.max() == pytest.approx(ours.labels.max(), rel=0.001, abs=1)
    assert (theirs.labels > 0).sum() == pytest.approx((ours.labels > 0).sum(), rel=0.001)


@pytest.mark.parametrize("shift", [(1, 0), (3, 5), (8, 2), (16, 16)])
def test_a_shifted_field_holds_the_same_cells(field: RGB, shift: tuple[int, int]) -> None:
    rows, columns = shift
    margin = 96
    whole = centres(segment(field))
    moved = centres(segment(field[rows:, columns:])) + shift
    inside = [p[((p > margin) & (p < SIDE - margin)).all(1)] for p in (whole, moved)]
    assert shared_share(*inside) > 0.96


@pytest.mark.parametrize(
    "turn", [np.fliplr, np.flipud, lambda image: np.rot90(image), lambda image: np.rot90(image, 2)]
)
def test_turned_and_mirrored_it_counts_the_same(field: RGB, turn: Callable[[RGB], RGB]) -> None:
    straight, turned = segment(field), segment(turn(field))
    assert turned.labels.max() == pytest.approx(straight.labels.max(), rel=0.03)
    assert straight.til_prob is not None
    assert turned.til_prob is not None
    most = (straight.til_prob >= straight.til_least).sum()
    assert (turned.til_prob >= straight.til_least).sum() == pytest.approx(most, rel=0.15)


@pytest.mark.parametrize("size", [(1, 1), (15, 33), (250, 333)])
def test_windows_of_any_size_are_answered_in_their_size(size: tuple[int, int]) -> None:
    found = segment(np.full((*size, 3), 240, np.uint8))
    assert found.labels.shape == size
    assert not found.labels.any()


def test_on_a_dab_section_brown_cells_are_whole_and_others_beside_them() -> None:
    spec = SlideSpec("CD8", area_mm2=0.3, til_density_per_mm2=500)
    rendered = render_slide(spec, SEED)
    found = segment(rendered.pixels, stain="CD8")
    assert found.til_prob is None
    positive = lay_out(spec, SEED).cells
    points = positive.xy[positive.positive][:, ::-1]
    distance = cKDTree(centres(found)).query(points)[0]
    assert (distance <= 6).mean() > 0.9


def halfway(found: Detections) -> NDArray[np.float64]:
    """Share of each outline's points that lie halfway between two pixel centres."""
    polygons = trace(found.labels, found.level).polygons
    points, owner = shapely.get_coordinates(polygons, return_index=True)
    on_edge = (points % 1 == 0).any(axis=1)
    return np.bincount(owner, on_edge) / np.bincount(owner)


def test_outlines_follow_the_answer_of_the_network(field: RGB) -> None:
    found = segment(field)
    assert found.level is not None
    assert (found.level[found.labels > 0] > 0).all()
    # One place in eight is halfway, and where two nuclei touch all are.
    assert halfway(found).mean() < 0.3
    assert halfway(replace(found, level=None)).min() == 1


@pytest.mark.parametrize("stain", ["CD8", "KI67"])
def test_of_brown_cells_the_network_says_no_border_but_of_its_own_nuclei_it_does(stain: str) -> None:
    one = engine()
    rgb = render_slide(SlideSpec("CD8", area_mm2=0.1, til_density_per_mm2=800), SEED).pixels
    profile = replace(profile_of("CD8"), stain=stain)
    found = one.segment(rgb, MPP, profile)
    assert found.level is not None
    brown = brown_cells(stain_od(rgb, profile), profile, one.settings, MPP)[0] > 0
    unknown = np.isnan(found.level)
    if stain == "CD8":
        assert brown.any()
        assert (unknown == brown).all()
        return
    assert not (unknown & ~brown).any()
    # A nucleus the network outlines keeps its border under any brown.
    nuclei = decode(answer(one.network, rgb), one.dab_rule).labels > 0
    assert (nuclei & brown).any()
    assert (unknown & nuclei).sum() < 0.05 * (nuclei & brown).sum()


def copy_of_the_weights(folder: Path) -> Path:
    for path in BUNDLED.parent.iterdir():
        shutil.copy(path, folder)
    return folder / BUNDLED.name


def own(path: Path) -> CellSettings:
    return CellSettings(engine="tmenet", weights=str(path), weights_sha256=file_sha256(path))


def test_a_marker_in_the_nucleus_leaves_nuclei_to_the_network() -> None:
    one = engine(precision="fp32")
    field = render_slide(SlideSpec("CD8", area_mm2=0.1, til_density_per_mm2=800), SEED).pixels[::2, ::2]
    rgb = np.ascontiguousarray(field[:SIDE, :SIDE])
    found = segment(rgb, one, "KI67").labels
    one.rule = one.dab_rule
    nuclei = one.segment(rgb, MPP, replace(profile_of("CD8"), dab_threshold_od=None)).labels
    brown = segment(rgb, one, "CD8").labels
    # What the network outlines is in as it is, but for rims of such as a brown nucleus holds; only what it
    # missed is added.
    kept = found[nuclei > 0]
    assert (kept > 0).mean() > 0.999
    assert len(np.unique(kept[kept > 0])) == nuclei.max()
    assert nuclei.max() <= found.max()
    assert not np.array_equal(found > 0, brown > 0)


def test_brown_cells_with_several_nuclei_are_parted() -> None:
    brown, nuclei = np.zeros((40, 120), np.int32), np.zeros((40, 120), np.int32)
    brown[4:24, 4:58] = 1  # two nuclei, and brown far from both
    nuclei[8:20, 6:16], nuclei[8:20, 28:38] = 1, 2
    brown[4:24, 60:80] = 2  # one nucleus, and one that is mostly elsewhere
    nuclei[8:20, 64:72], nuclei[8:20, 78:90] = 3, 4
    brown[30:36, 4:20] = 3  # two, but no larger than a lymphocyte
    nuclei[31:35, 5:10], nuclei[31:35, 13:18] = 5, 6
    parted = parted_by(nuclei, brown, MPP)
    assert ((parted > 0) == (brown > 0)).all()
    assert len(np.unique(parted[brown == 2])) == len(np.unique(parted[brown == 3])) == 1
    left, right = parted[14, 10], parted[14, 33]
    assert left != right
    assert (parted[8:20, 6:16] == left).all()
    assert (parted[8:20, 28:38] == right).all()
    assert parted.max() == len(np.unique(parted)) - 1
    assert np.array_equal(parted_by(np.zeros_like(nuclei), brown, MPP), brown)
    assert not parted_by(nuclei, np.zeros_like(brown), MPP).any()


def test_what_is_left_of_a_clump_beyond_its_cells() -> None:
    cells, clump = np.zeros((100, 200), np.int32), np.zeros((100, 200), bool)
    clump[10:90, 10:90], clump[10:90, 110:150] = True, True
    cells[10:90, 10:26] = 3  # beside it a strip 4 µm wide is the cell's
    cells[20:80, 120:140] = 7  # of the second clump only a rim is left
    left = rest_of(clump, cells, MPP)
    assert left.max() == 1
    assert not left[:, :33].any()
    assert (left > 0).sum() * MPP**2 == pytest.approx(80 * 56 * MPP**2, rel=0.02)
    assert not rest_of(np.zeros_like(clump), cells, MPP).any()
    for through in (np.s_[:, 160:], np.s_[40:60]):
        across = np.zeros_like(clump)
        across[through] = True
        assert not rest_of(across, np.zeros_like(cells), MPP).any()
    clump[:, 60:] = False  # 13 µm x 40 µm are left, then 13 µm x 4 µm, less than a cell
    assert rest_of(clump, cells, MPP).max() == 1
    clump[18:] = False
    assert not rest_of(clump, cells, MPP).any()


@pytest.mark.parametrize(("usual", "expected"), [(None, [False] * 3), (1.0, [True, False, False])])
def test_clumps_hide_nuclei_where_haematoxylin_lies_under_them(
    usual: float | None, expected: list[bool]
) -> None:
    rest, density = np.zeros((10, 40), np.int32), np.zeros((10, 40, 2), np.float32)
    for label, (haematoxylin, dab) in enumerate([(0.76, 1.0), (0.74, 1.0), (0.5, -0.1)], start=1):
        rest[2:8, 10 * label : 10 * label + 8] = label
        density[rest == label] = haematoxylin, dab
    profile = replace(profile_of("CD8"), haematoxylin_under_dab=usual)
    assert hides_nuclei(rest, density, profile).tolist() == expected
    assert hides_nuclei(np.zeros_like(rest), density, profile).tolist() == []


def test_a_clump_of_cells_that_show_no_nucleus_counts_by_its_area() -> None:
    profile = replace(profile_of("CD8"), haematoxylin_under_dab=0.5 / 0.9)
    density = np.zeros((200, 200, 2), np.float32)
    density[..., 0] = 0.05
    rows, columns = np.mgrid[:200, :200]
    for y, x in np.ndindex(6, 6):
        density[np.hypot(rows - 60 - 14 * y, columns - 60 - 14 * x) < 8.4] = 0.5, 0.9
    found = engine().segment(painted(density, profile), MPP, profile)
    assert found.evidence is not None
    area_um2 = np.bincount(found.labels.ravel())[1:] * MPP**2
    counts = cluster_counts(area_um2, found.evidence.cluster)
    assert found.evidence.cluster.any()
    assert counts[found.evidence.enough].sum() == pytest.approx(36, rel=0.2)
    # Without a word of the slide on what lies under its DAB nothing is made of it.
    plain = engine().segment(painted(density, profile), MPP, profile_of("CD8"))
    assert plain.evidence is not None
    assert not (plain.evidence.cluster & plain.evidence.enough).any()


def test_brown_objects_that_are_one_nucleus_whatever_the_network_sees() -> None:
    brown, nuclei = np.zeros((40, 160), np.int32), np.zeros((40, 160), np.int32)
    rgb = np.full((40, 160, 3), 200, np.uint8)
    for label, column in enumerate([4, 34, 64, 94, 124], start=1):
        brown[4:24, column : column + 20] = label
    rgb[4:24, 4:12] = 64  # two fifths of the first are black
    nuclei[6:12, 6:12], nuclei[14:20, 14:20] = 1, 2
    nuclei[5:15, 35:45] = 3  # one nucleus in a quarter of the second
    nuclei[4:24, 64:76] = 4  # in more than half of the third
    nuclei[6:12, 96:102], nuclei[14:20, 104:110] = 5, 6  # two in the fourth, none in the fifth
    whole, rest = brown_nuclei(nuclei, brown, rgb)
    assert np.array_equal(whole > 0, (brown == 1) | (brown == 2))
    assert np.array_equal(rest > 0, brown == 5)
    rgb[4:24, 4:12] = 65
    assert np.array_equal(brown_nuclei(nuclei, brown, rgb)[0] > 0, brown == 2)
    nothing = np.zeros_like(brown)
    assert not any(found.any() for found in brown_nuclei(nuclei, nothing, rgb))
    assert np.array_equal(brown_nuclei(nothing, brown, rgb)[1], brown)


def test_a_black_nucleus_is_one_whatever_its_size() -> None:
    rgb = np.full((200, 200, 3), 235, np.uint8)
    cv2.ellipse(rgb, (100, 100), (24, 18), 20, 0, 360, (12, 10, 8), -1)
    rgb = np.asarray(cv2.GaussianBlur(rgb, (0, 0), 1), np.uint8)
    found = segment(rgb, stain="KI67").labels
    assert found.max() == 1
    assert (found > 0).sum() == pytest.approx(np.pi * 24 * 18, rel=0.25)


def test_what_of_a_nucleus_is_seen_in_each_cell() -> None:
    labels, nuclei = np.zeros((40, 80), np.int32), np.zeros((40, 80), np.int32)
    for label, column in enumerate([4, 20, 36, 52], start=1):
        labels[4:14, column : column + 10] = label
    nuclei[6:10, 6:10] = 1  # small, whole in the first
    nuclei[4:14, 27:40] = 2  # three columns of the second, four of the third: neither has most of it
    found = evidence_of(labels, nuclei, nuclei > 0, np.zeros(0, bool), 1e9)
    assert found.whole.tolist() == [True, False, False, False]
    assert found.share.tolist() == [0.16, 0.3, 0.4, 0.0]
    assert found.enough.tolist() == [True, True, True, False]
    assert not found.cluster.any()
    # The last two are rests of clumps: one hides nuclei, and is none where windows may cut it.
    hidden = np.array([False, True])
    for most_px, enough in ((200.0, [True, True, True, True]), (99.0, [True, True, False, False])):
        assert evidence_of(labels, nuclei, nuclei > 0, hidden, most_px).enough.tolist() == enough
    nothing = evidence_of(np.zeros_like(labels), nuclei, nuclei > 0, np.zeros(0, bool), 1e9)
    assert nothing.enough.tolist() == []


def test_stain_without_a_nucleus_is_no_cell_and_a_nucleus_under_it_is() -> None:
    rgb = np.full((160, 240, 3), 235, np.uint8)
    rgb[43:53, 40:56], rgb[40:60, 130:150] = (180, 135, 95), (150, 100, 60)
    cv2.circle(rgb, (140, 50), 7, (70, 50, 90), -1)
    rgb = cv2.GaussianBlur(rgb, (0, 0), 1.0)
    found = engine().segment(rgb, MPP, profile_of("CD8"))
    assert found.evidence is not None
    bare, cell = found.labels[48, 48], found.labels[50, 140]
    assert 0 < bare != cell > 0
    assert found.evidence.enough[cell - 1]
    assert found.evidence.whole[cell - 1]
    assert not found.evidence.enough[bare - 1]
    assert engine().segment(rgb, MPP, profile_of("KI67")).evidence is None
    assert engine().segment(rgb, MPP, profile_of("HE")).evidence is None


@pytest.mark.parametrize("seed", [5, 9, 77])
def test_neither_a_positive_cell_nor_an_outlined_nucleus_is_left_out(seed: int) -> None:
    made = render_slide(SlideSpec("CD8", 0.1, til_density_per_mm2=800), seed)
    slide = ArraySlide(made.pixels, made.mpp)
    profile = estimate_profile(slide, all_tissue(slide), STAINS.get("CD8"), StainSettings())
    rgb = slide.read(0, 0, *slide.info.size_at(MPP), MPP)
    one = engine()
    found = one.segment(rgb, MPP, profile)
    assert found.evidence is not None
    nuclei = decode(answer(one.network, rgb), one.dab_rule).labels
    large = np.bincount(nuclei.ravel()) >= um2_to_px(one.dab_rule.least_um2, MPP)
    kept = np.concatenate([[False], found.evidence.enough])[found.labels]
    inside = np.bincount(nuclei.ravel(), kept.ravel()) / np.bincount(nuclei.ravel())
    assert (inside[1:][large[1:]] > 0).all()
    cells = made.truth.cells
    rows, columns = (np.round(v[cells.is_til] / MPP).astype(int) for v in (cells.y_um, cells.x_um))
    assert len(rows) > 50
    assert (found.labels[rows, columns] > 0).mean() - kept[rows, columns].mean() <= 0.01
    # The weakest lie under the cut.
    assert kept[rows, columns].mean() > 0.85


def test_cells_of_two_kinds_do_not_overlap() -> None:
    first, second = np.zeros((20, 40), np.int32), np.zeros((20, 40), np.int32)
    first[2:10, 2:10] = 1
    second[2:10, 4:12] = 1  # mostly inside the first
    second[2:10, 9:19] = 2  # mostly outside
    second[12:18, 30:36] = 3
    joined = with_others(first, second, MPP)
    assert len(np.unique(joined[joined > 0])) == 3
    assert (np.unique(joined[first > 0]) == [joined[2, 2]]).all()
    assert joined[5, 10] == 0, "a rim of half a micrometre stays free"
    assert joined[5, 12] > 0
    assert joined[14, 32] > 0
    assert np.array_equal(with_others(first, np.zeros_like(second), MPP), first)
    assert np.array_equal(with_others(np.zeros_like(first), second, MPP) > 0, second > 0)


def test_weights_of_ones_own_are_used(tmp_path: Path) -> None:
    path = copy_of_the_weights(tmp_path)
    described = json.loads(path.read_text())
    described["model_id"] = "site-7"
    path.write_text(json.dumps(described))
    assert NucleusSegmenter().load(own(path)).model_id == "site-7"


def test_centres_on_dab_sections_are_read_by_a_rule_of_their_own(tmp_path: Path, field: RGB) -> None:
    path = copy_of_the_weights(tmp_path)
    described = json.loads(path.read_text())
    least = {}
    for dab_centre in (None, 0.05, 0.6):
        described["reading"]["dab_centre"] = dab_centre
        path.write_text(json.dumps(described))
        one = NucleusSegmenter().load(own(path))
        least[dab_centre] = [int(segment(field, one, stain).labels.max()) for stain in ("HE", "KI67")]
        assert one.rule.centre == described["reading"]["centre"]
        assert one.dab_rule.centre == (dab_centre or one.rule.centre)
    on_he, on_dab = zip(*least.values(), strict=True)
    assert len(set(on_he)) == 1
    assert on_dab[1] >= on_dab[0] > on_dab[2]


def test_weights_that_were_altered_are_refused(tmp_path: Path) -> None:
    path = copy_of_the_weights(tmp_path)
    weights = path.parent / read_description(path).files["int8"].name
    weights.write_bytes(weights.read_bytes()[:-1] + b"\x00")
    with pytest.raises(ConfigError):
        NucleusSegmenter().load(own(path))


def test_weights_that_are_gone_are_named(tmp_path: Path) -> None:
    path = copy_of_the_weights(tmp_path)
    name = read_description(path).files["int8"].name
    (tmp_path / name).unlink()
    with pytest.raises(EngineError, match=name):
        NucleusSegmenter().load(own(path))


def test_an_unpinned_description_is_refused(tmp_path: Path) -> None:
    path = copy_of_the_weights(tmp_path)
    with pytest.raises(EngineError, match="sha256"):
        NucleusSegmenter().load(CellSettings(engine="tmenet", weights=str(path)))


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"model_id": "../x"}', "\x00"])
def test_what_is_no_description_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "net.json"
    path.write_text(text)
    with pytest.raises(ConfigError):
        read_description(path)


def test_a_precision_that_is_not_there_falls_back_to_fp32(tmp_path: Path) -> None:
    path = copy_of_the_weights(tmp_path)
    described = json.loads(path.read_text())
    del described["files"]["int8"]
    path.write_text(json.dumps(described))
    file, _ = weights_file(read_description(path), tmp_path, "int8")
    assert file.name == described["files"]["fp32"]["name"]


def test_a_gpu_that_is_not_there_is_told() -> None:
    if _runtime._cuda():
        pytest.skip("this machine has a GPU")
    with pytest.raises(EngineError, match="GPU"):
        engine(device="gpu")
