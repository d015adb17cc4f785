"""Who computes does not matter; vessels longer than any window are one."""

from __future__ import annotations

import pickle

import numpy as np
import pytest

from tests.vessel_scenes import CD31, MPP, Scene, all_tissue, profile
from tme.config import VesselSettings
from tme.testing.memory import ArraySlide
from tme.tiles import make_grid
from tme.vessels import find_vessels, join_masks, mask_task, vessel_window_px
from tme.vessels.windows import CORE_PX

SIDE_UM = 5 * CORE_PX * MPP


@pytest.fixture(scope="module")
def long_scene() -> ArraySlide:
    """A vessel that winds through five windows in each direction, rings on their borders and corners."""
    scene = Scene(SIDE_UM, 700)
    scene.path([(20, 40), (600, 320), (1000, 360), (1300, 600), (SIDE_UM - 20, 560)], wall=6)
    edge = CORE_PX * MPP
    scene.vessel(edge, 100, 25, 25)
    scene.vessel(2 * edge, edge, 30, 30, gap=30)
    scene.vessel(3 * edge - 2, edge + 3, 8, 8)
    return ArraySlide(scene.rgb(), MPP)


@pytest.fixture(scope="module")
def masks(long_scene):
    tissue = all_tissue(long_scene)
    grid = make_grid(tissue, long_scene.info.size_at(MPP), MPP, *vessel_window_px(MPP))
    return mask_task(grid.windows, long_scene.read, profile(), CD31, VesselSettings(), MPP)


@pytest.fixture(scope="module")
def joined(long_scene, masks):
    return join_masks(masks, long_scene.info, profile(), CD31, VesselSettings()).table


def test_a_vessel_across_five_windows_is_one(joined):
    table = joined
    assert table.num_rows == 4
    assert max(table["max_feret_um"].to_pylist()) > 0.95 * (SIDE_UM - 40)


def test_the_order_of_windows_changes_nothing(long_scene, masks, joined):
    shuffled = [masks[index] for index in np.random.default_rng(0).permutation(len(masks))]
    assert join_masks(shuffled, long_scene.info, profile(), CD31, VesselSettings()).table.equals(joined)


@pytest.mark.parametrize("task_px", [1024, 4096])
def test_the_size_of_tasks_changes_nothing(long_scene, joined, task_px):
    def backwards(function, tasks):
        done = [function(pickle.loads(pickle.dumps(task))) for task in reversed(tasks)]  # noqa: S301
        return [pickle.loads(pickle.dumps(result)) for result in reversed(done)]  # noqa: S301

    found = find_vessels(
        long_scene, all_tissue(long_scene), profile(), CD31, VesselSettings(), backwards, task_px
    )
    assert found.table.equals(joined)


def test_masks_are_small(masks):
    packed = sum(len(mask.stained) + len(mask.pale) + len(mask.dark) for mask in masks)
    assert packed < 20_000 * len(masks)


def test_a_vessel_too_large_for_its_box_is_measured_in_coarser_pixels(long_scene, masks, joined, monkeypatch):
    fine = joined
    monkeypatch.setattr("tme.vessels.group.MAX_BOX_PX", 1_000_000)
    coarse = join_masks(masks, long_scene.info, profile(), CD31, VesselSettings()).table
    assert coarse.num_rows == fine.num_rows
    index = int(np.argmax(fine["max_feret_um"].to_numpy()))
    assert coarse["endothelium_area_um2"][index] == fine["endothelium_area_um2"][index]
    assert coarse["area_um2"][index].as_py() == pytest.approx(fine["area_um2"][index].as_py(), rel=0.5)
    assert coarse["max_feret_um"][index].as_py() == pytest.approx(
        fine["max_feret_um"][index].as_py(), rel=0.01
    )


def test_no_windows_give_no_vessels(long_scene):
    assert join_masks([], long_scene.info, profile(), CD31, VesselSettings()).table.num_rows == 0
