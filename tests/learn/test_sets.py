"""The readers of labelled sets, on drawn files of their form."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

pytest.importorskip("torch", reason="PyTorch is not installed here; `make test-engines` tests it")

from tests.learn.scenes import Scene, draw_scene
from training import sets


def saved(path: Path, scene: Scene) -> Path:
    cv2.imwrite(str(path.with_suffix(".png")), scene.rgb[..., ::-1])
    np.savez(path, inst=scene.labels, mpp=0.5, complete=True)
    return path


def test_displaced_masks_are_put_back_on_their_nuclei(tmp_path: Path) -> None:
    scene, off = draw_scene(3), sets.DISPLACED_PX["train_Bladder1"]
    labels = np.zeros_like(scene.labels)
    labels[:, :-off] = scene.labels[:, off:]
    field = sets.deepliif(saved(tmp_path / "train_Bladder1.npz", Scene(scene.rgb, labels, scene.kinds)))
    assert np.array_equal(field.rgb, scene.rgb[:, off:])
    assert np.array_equal(field.instances > 0, scene.labels[:, off:] > 0)


def test_masks_of_other_fields_stay_where_they_are(tmp_path: Path) -> None:
    scene = draw_scene(3)
    field = sets.deepliif(saved(tmp_path / "test_22_2.npz", scene))
    assert np.array_equal(field.rgb, scene.rgb)
    assert np.array_equal(field.instances > 0, scene.labels > 0)
