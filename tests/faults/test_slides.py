"""Hostile and damaged slides: each gets its verdict, in time, in memory, without a traceback.

``slide_verdicts.yaml`` holds one line per file of the shared slides and of the shared broken files:
the verdict without and, where it differs, with ``mpp`` 0.5 from the sheet. ``ok`` or the words that
must stand in the refusal.
"""

from __future__ import annotations

import resource
import struct
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import tifffile
import yaml
from PIL import Image

from tme.slide.pool import Job, preflight_many
from tme.slide.preflight import Preflight, preflight

VERDICTS = yaml.safe_load(Path(__file__).with_name("slide_verdicts.yaml").read_text(encoding="utf-8"))
MAX_RSS_MB = 1000


def own_peak_mb() -> float:
    """Peak memory of this process, MB; getrusage would count what its parent held at the fork, too."""
    status = Path("/proc/self/status")
    if status.is_file():
        line = next(line for line in status.read_text().splitlines() if line.startswith("VmHWM"))
        return int(line.split()[1]) / 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024 / 1024


def weighed(path: Path, mpp: float | None, stain_kind: str | None) -> Preflight:
    """`preflight`; seconds and peak MB of the process in the fingerprint's place."""
    began = time.perf_counter()
    found = preflight(path, mpp, stain_kind)
    peak = own_peak_mb()
    return replace(found, fingerprint=f"{time.perf_counter() - began:.2f} {peak:.0f}")


def verdict(found: Preflight) -> str:
    return "ok" if found.ok else "; ".join(p.what for p in found.problems if p.severity == "error")


@pytest.mark.shared
def test_every_shared_file_has_its_verdict(shared_data: Path) -> None:
    jobs = []
    for name, expected in VERDICTS.items():
        first, _, second = expected.partition(" | ")
        jobs.append((name, None, first))
        if second:
            jobs.append((name, 0.5, second))
    found = preflight_many([Job(shared_data / name, mpp) for name, mpp, _ in jobs], check=weighed)
    wrong = [
        f"{name} (mpp {mpp}): {verdict(answer)!r}, not {expected!r}"
        for (name, mpp, expected), answer in zip(jobs, found, strict=True)
        if (expected == "ok") != answer.ok or (expected != "ok" and expected not in verdict(answer))
    ]
    assert wrong == []
    for (name, _, _), answer in zip(jobs, found, strict=True):
        seconds, megabytes = (float(part) for part in answer.fingerprint.split())
        assert seconds < 10, name
        assert megabytes < MAX_RSS_MB, name
        assert all(
            "Traceback" not in str(problem) and "\n" not in str(problem) for problem in answer.problems
        )


@pytest.mark.shared
def test_the_table_is_complete(shared_data: Path) -> None:
    files = set()
    for top in ("wsi", "broken"):
        for file in (shared_data / top).rglob("*"):
            relative = file.relative_to(shared_data)
            if file.is_file() and not any(part.endswith(".zarr") for part in relative.parts):
                files.add(relative.as_posix())
    assert files <= set(VERDICTS)


def tissue_like(height: int, width: int) -> np.ndarray:
    rng = np.random.default_rng(2)
    light = rng.normal(0, 12, (height // 8 + 1, width // 8 + 1, 1)).repeat(8, 0).repeat(8, 1)[:height, :width]
    return np.clip(np.array((225, 170, 200)) + light + rng.normal(0, 3, (height, width, 3)), 0, 255).astype(
        np.uint8
    )


def _seeds(folder: Path) -> list[Path]:
    pixels = tissue_like(200, 260)
    tag = "Aperio Image Library v11\r\n260x200|AppMag = 20|MPP = 0.5"
    common = {"photometric": "rgb", "metadata": None}
    tifffile.imwrite(
        folder / "a.svs", pixels, tile=(64, 64), compression="jpeg", description=tag, metadata=None
    )
    tifffile.imwrite(folder / "b.tif", pixels, tile=(64, 64), compression="lzw", predictor=2, **common)
    tifffile.imwrite(folder / "c.tif", pixels, rowsperstrip=32, bigtiff=True, **common)
    Image.fromarray(pixels).save(folder / "d.png")
    Image.fromarray(pixels).save(folder / "e.jpg")
    return sorted(folder.iterdir())


def mutated(data: bytes, seed: int) -> bytes:
    """Cut short, bits flipped in the head, tail or anywhere, a zeroed range, or numbers made huge."""
    rng = np.random.default_rng(seed)
    out = bytearray(data)
    kind, size = seed % 6, len(data)
    if kind == 0:
        return data[: int(rng.integers(1, size))]
    if kind in (1, 2, 3):
        low, high = ((0, min(400, size)), (max(0, size - 400), size), (0, size))[kind - 1]
        for position in rng.integers(low, high, 6):
            out[position] ^= 1 << int(rng.integers(0, 8))
    elif kind == 4:
        start = int(rng.integers(0, max(1, size - 50)))
        out[start : start + 50] = bytes(50)
    else:
        start = int(rng.integers(0, max(1, min(size, 500) - 4)))
        out[start : start + 4] = b"\xff\xff\xff\x7f"
    return bytes(out)


def test_mutants_never_bring_it_down(tmp_path: Path) -> None:
    (tmp_path / "seeds").mkdir()
    seeds = _seeds(tmp_path / "seeds")
    jobs = []
    for seed in range(200):
        source = seeds[seed % len(seeds)]
        path = tmp_path / f"{seed}{source.suffix}"
        path.write_bytes(mutated(source.read_bytes(), seed))
        jobs.append(Job(path, 0.5))
    clean = [Job(path, 0.5) for path in seeds]
    found = preflight_many([*clean, *jobs, *clean], check=weighed)
    assert all(answer.ok for answer in found[: len(clean)] + found[-len(clean) :])
    refused = [answer for answer in found[len(clean) : -len(clean)] if not answer.ok]
    assert len(refused) > 60
    lost = [answer for answer in found if not answer.fingerprint]
    assert lost == [], "a decoder crashed or hung"
    assert max(float(answer.fingerprint.split()[0]) for answer in found) < 5
    assert max(float(answer.fingerprint.split()[1]) for answer in found) < MAX_RSS_MB


def sparse_tiff(path: Path, side: int, tiles: int, filled: int = 0, tile: int = 256) -> Path:
    """A classic TIFF that claims ``side`` x ``side`` pixels and lists ``tiles`` tiles, few of them there."""
    data = 8 + 2 + 12 * 10 + 4
    offsets = data + 8
    counts = offsets + 4 * tiles
    pixels = counts + 4 * tiles
    one_tile = tile * tile * 3
    entries = [
        (256, 4, 1, side), (257, 4, 1, side), (258, 3, 3, data), (259, 3, 1, 1), (262, 3, 1, 2),
        (277, 3, 1, 3), (322, 4, 1, tile), (323, 4, 1, tile),
        (324, 4, tiles, offsets if tiles > 1 else pixels), (325, 4, tiles, counts if tiles > 1 else one_tile),
    ]  # fmt: skip
    out = struct.pack("<2sHIH", b"II", 42, 8, len(entries))
    for code, kind, count, value in entries:
        out += struct.pack("<HHII", code, kind, count, value)
    places, sizes = np.zeros(tiles, "<u4"), np.zeros(tiles, "<u4")
    places[:filled], sizes[:filled] = pixels, one_tile
    body = places.tobytes() + sizes.tobytes()
    path.write_bytes(out + bytes(4) + struct.pack("<4H", 8, 8, 8, 0) + body + b"\xe0" * one_tile)
    return path


def test_mutated_zarr_and_ome_never_bring_it_down(tmp_path: Path) -> None:
    import zarr

    pixels = tissue_like(120, 140)
    space = [{"name": "c", "type": "channel"}] + [
        {"name": n, "type": "space", "unit": "micrometer"} for n in "yx"
    ]
    step = [{"type": "scale", "scale": [1.0, 0.5, 0.5]}]
    ome = {
        "version": "0.5",
        "multiscales": [{"axes": space, "datasets": [{"path": "0", "coordinateTransformations": step}]}],
    }
    xml = (
        '<?xml version="1.0"?><OME><Image><Pixels SizeC="3" SizeZ="1" SizeT="1" PhysicalSizeX="0.5" '
        'PhysicalSizeY="0.5"><Channel SamplesPerPixel="3"/><TiffData IFD="0"/></Pixels></Image></OME>'
    )
    jobs = []
    for seed in range(48):
        if seed % 2:
            path = tmp_path / f"{seed}.ome.tif"
            text = mutated(xml.encode(), seed // 2).replace(b"\x00", b" ") if seed > 1 else xml.encode()
            tifffile.imwrite(path, pixels, photometric="rgb", description=text, metadata=None)
        else:
            path = tmp_path / f"{seed}.zarr"
            group = zarr.create_group(path, attributes={"ome": ome})
            group.create_array("0", data=np.moveaxis(pixels, 2, 0).copy(), chunks=(3, 64, 64))
            files = sorted(file for file in path.rglob("*") if file.is_file())
            victim = files[(seed // 2) % len(files)]
            if seed:
                victim.write_bytes(mutated(victim.read_bytes(), seed // 2))
        jobs.append(Job(path))
    found = preflight_many(jobs, check=weighed)
    assert found[0].ok
    assert found[1].ok
    assert all(answer.fingerprint for answer in found), "a decoder crashed or hung"
    assert sum(not answer.ok for answer in found) > 15


def test_dimension_bombs(tmp_path: Path) -> None:
    bombs = [
        (sparse_tiff(tmp_path / "claim.tif", 10**6, 1), "the header claims 1000000 x 1000000"),
        (sparse_tiff(tmp_path / "nothing.tif", 400_000, 1563**2), "holds no pixels at all"),
        (
            sparse_tiff(tmp_path / "short.tif", 100_000, 3, 3),
            "lists 3 tiles or strips where 152881 are needed",
        ),
        (sparse_tiff(tmp_path / "valid.tif", 60_000, 235**2, 4), "ok"),
    ]
    found = preflight_many([Job(path, 0.5) for path, _ in bombs], workers=1, check=weighed)
    for (path, expected), answer in zip(bombs, found, strict=True):
        assert expected in verdict(answer), path.name
        seconds, megabytes = (float(part) for part in answer.fingerprint.split())
        assert seconds < 5
        assert megabytes < 300


def test_what_lies_in_a_sparse_slide_is_white(tmp_path: Path) -> None:
    from tme.slide.open import open_slide

    slide = open_slide(sparse_tiff(tmp_path / "a.tif", 60_000, 235**2, 4), 0.5)
    assert (slide.read(30_000, 30_000, 500, 500, 0.5) == 255).all()
    assert (slide.read(0, 0, 256, 256, 0.5) == 0xE0).all()
    slide.close()
