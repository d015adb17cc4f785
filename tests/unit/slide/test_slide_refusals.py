"""What is no stained section, or no file at all, is refused by name."""

from __future__ import annotations

import os
import struct
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image
from slide_files import halved, ome_xml, tissue, write_png, write_tiff, write_zarr

from tme.errors import SlideError
from tme.slide.guards import check_size
from tme.slide.open import open_slide
from tme.slide.source import RawLevel

PICTURE = tissue(100, 120)
GREY = PICTURE[..., 0]
OTHER = '<TiffData IFD="0"><UUID FileName="../secret.tif">urn:uuid:other</UUID></TiffData>'
BOMB = '<!DOCTYPE x [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;">]>'


def _ome(path: Path, text: str, pixels: np.ndarray = PICTURE) -> Path:
    kind = "rgb" if pixels.ndim == 3 else "minisblack"
    tifffile.imwrite(path, pixels, photometric=kind, description=text.encode(), metadata=None)
    return path


def _raw(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    return path


def _folder(path: Path, *files: str) -> Path:
    path.mkdir()
    for name in files:
        (path / name).write_bytes(bytes(128) + b"DICM" + name.encode() * 9)
    return path


def _series(path: Path) -> Path:
    path.mkdir()
    for name in (b"1.2", b"1.3"):
        tag = b"\x20\x00\x0e\x00UI" + struct.pack("<H", len(name)) + name
        (path / f"{name.decode()}.dcm").write_bytes(bytes(128) + b"DICM" + tag)
    return path


def _fifo(path: Path) -> Path:
    os.mkfifo(path)
    return path


def _link_loop(path: Path) -> Path:
    path.symlink_to(path)
    return path


def _image(path: Path, mode: str, **options: object) -> Path:
    Image.fromarray(PICTURE).convert(mode).save(path, **options)
    return path


def _turned_jpeg(path: Path) -> Path:
    exif = Image.Exif()
    exif[274] = 6
    Image.fromarray(PICTURE).save(path, exif=exif)
    return path


def _cut(path: Path) -> Path:
    write_tiff(path, PICTURE, tile=(64, 64))
    path.write_bytes(path.read_bytes()[:-5000])
    return path


def _z_stack(path: Path) -> Path:
    return _ome(path, ome_xml(120, 100).replace('SizeZ="1"', 'SizeZ="7"'))


def _three_stains(path: Path) -> Path:
    names = "".join(f'<Channel ID="Channel:0:{i}" Name="{n}"/>' for i, n in enumerate(("DAPI", "CD8", "CK")))
    return _ome(
        path, ome_xml(120, 100).replace('<Channel ID="Channel:0:0" SamplesPerPixel="3"/>', names), GREY
    )


def _zarr_with_channels(path: Path) -> Path:
    import zarr

    write_zarr(path, PICTURE)
    group = zarr.open_group(path, mode="r+")
    channels = [{"label": name, "color": "0000FF"} for name in ("DAPI", "FITC", "Cy5")]
    group.attrs["ome"] = {**group.attrs["ome"], "omero": {"channels": channels}}
    return path


def _zarr_escaping(path: Path) -> Path:
    text = (write_zarr(path, PICTURE) / "zarr.json").read_text()
    (path / "zarr.json").write_text(text.replace('"path": "0"', '"path": "../other"'))
    return path


CASES: dict[str, tuple[Callable[[Path], Path], str]] = {
    "missing.svs": (lambda path: path, "there is no such file"),
    "fifo.svs": (_fifo, "pipe, socket or device"),
    "loop.svs": (_link_loop, "cannot be followed"),
    "empty.svs": (lambda path: _raw(path, b""), "0 bytes"),
    "text.svs": (lambda path: _raw(path, b"not a slide"), "not a slide in any format"),
    "folder": (_folder, "this folder is not a slide"),
    "a.czi": (lambda path: _raw(path, b"ZISRAWFILE" + bytes(99)), "Zeiss CZI"),
    "a.vsi": (lambda path: write_tiff(path, PICTURE), "Olympus VSI"),
    "a.isyntax": (lambda path: _raw(path, b"<DataObject ObjectType"), "iSyntax"),
    "a.jp2": (lambda path: _raw(path, b"\x00\x00\x00\x0cjP  \r\n\x87\n"), "JPEG 2000"),
    "a.zarr.zip": (lambda path: _raw(path, b"PK\x03\x04" + bytes(99)), "zip archive"),
    "a.mrxs": (lambda path: _image(path.with_suffix(".jpg"), "RGB").rename(path), "MIRAX folder 'a'"),
    "ct.dcm": (
        lambda path: _raw(path, b"II*\x00" + bytes(124) + b"DICM" + bytes(99)),
        "no whole-slide image",
    ),
    "series": (_series, "2 DICOM series"),
    "dicom": (lambda path: _folder(path, "a.dcm"), "no whole-slide image"),
    "cut.tif": (_cut, "cut short"),
    "header.tif": (lambda path: _raw(path, b"II*\x00\xff\xff\xff\x00"), "structure is damaged"),
    "16bit.tif": (lambda path: write_tiff(path, PICTURE.astype(np.uint16)), "16 bits per sample"),
    "float.tif": (lambda path: write_tiff(path, PICTURE.astype(np.float32)), "32 bits per sample"),
    "grey.tif": (lambda path: write_tiff(path, GREY, photometric="minisblack"), "grey"),
    "stack.tif": (
        lambda path: write_tiff(path, np.stack([GREY] * 4), photometric="minisblack"),
        "grey pages",
    ),
    "cmyk.tif": (
        lambda path: write_tiff(path, np.dstack([PICTURE, GREY]), photometric="separated"),
        "CMYK",
    ),
    "palette.tif": (
        lambda path: write_tiff(path, GREY, photometric="palette", colormap=np.zeros((3, 256), np.uint16)),
        "palette",
    ),
    "infrared.tif": (
        lambda path: write_tiff(path, np.dstack([PICTURE, GREY]), extrasamples=["unspecified"]),
        "4 channels",
    ),
    "turned.tif": (
        lambda path: write_tiff(path, PICTURE, extratags=[(274, "H", 1, 6, True)]),
        "orientation tag",
    ),
    "bomb.ome.tif": (lambda path: _ome(path, ome_xml(120, 100).replace("<OME", BOMB + "<OME")), "XML"),
    "other.ome.tif": (lambda path: _ome(path, ome_xml(120, 100, OTHER)), "another file"),
    "z.ome.tif": (_z_stack, "7 focal planes"),
    "three.ome.tif": (_three_stains, "3 channels, which is fluorescence"),
    "16bit.png": (lambda path: _write_16bit_png(path), "16 bits per sample"),
    "huge.png": (lambda path: _raw(path, _huge_png(60_000)), "too large for its format"),
    "large.png": (lambda path: _raw(path, _huge_png(11_000)), "stored in one piece"),
    "grey.png": (lambda path: _image(path, "L"), "grayscale"),
    "palette.png": (lambda path: _image(path, "P"), "palette"),
    "cmyk.jpg": (lambda path: _image(path, "CMYK"), "CMYK"),
    "turned.jpg": (_turned_jpeg, "orientation tag"),
    "channels.zarr": (_zarr_with_channels, "fluorescence"),
    "escaping.zarr": (_zarr_escaping, "outside its own folder"),
    "16bit.zarr": (lambda path: _zarr_of(path, np.uint16), "uint16, not 8-bit RGB"),
    "plain.zarr": (lambda path: _zarr_of(path, None), "no OME-Zarr image"),
}


def _huge_png(side: int) -> bytes:
    """Only a header; nothing is decoded to refuse it."""
    header = b"IHDR" + struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)
    end = struct.pack(">I", 0) + b"IEND" + struct.pack(">I", zlib.crc32(b"IEND"))
    data = struct.pack(">I", 0) + b"IDAT" + struct.pack(">I", zlib.crc32(b"IDAT"))
    head = struct.pack(">I", 13) + header + struct.pack(">I", zlib.crc32(header))
    return b"\x89PNG\r\n\x1a\n" + head + data + end


def _write_16bit_png(path: Path) -> Path:
    import imagecodecs

    return _raw(path, imagecodecs.png_encode(PICTURE.astype(np.uint16) * 257))


def _zarr_of(path: Path, dtype: type | None) -> Path:
    import zarr

    if dtype is None:
        zarr.create_group(path)
        return path
    write_zarr(path, PICTURE)
    group = zarr.open_group(path, mode="r+")
    group.create_array("0", shape=(3, 100, 120), dtype=dtype, chunks=(3, 50, 50), overwrite=True)
    return path


@pytest.mark.parametrize("name", CASES)
def test_refused_by_name(tmp_path: Path, name: str) -> None:
    build, expected = CASES[name]
    path = build(tmp_path / name)
    with pytest.raises(SlideError) as caught:
        open_slide(path, 0.5)
    problem = caught.value.problem
    assert expected in problem.what
    assert problem.where == name
    assert problem.fix
    assert str(tmp_path) not in str(caught.value)


def test_no_permission(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write_png(tmp_path / "a.png", PICTURE)
    monkeypatch.setattr(os, "access", lambda *_: False)
    with pytest.raises(SlideError, match="may not be read"):
        open_slide(path, 0.5)


@pytest.mark.parametrize(
    "name", ["-rf.png", "a b.png", "Präparat ß.png", "标本.png", "line\nbreak.png", "x" * 250 + ".png"]
)
def test_any_name_is_a_file_name(tmp_path: Path, name: str) -> None:
    assert open_slide(write_png(tmp_path / name, PICTURE), 0.5).info.width == 120
    bad = tmp_path / ("bad" + name[:200])
    bad.write_bytes(b"nothing")
    with pytest.raises(SlideError) as caught:
        open_slide(bad, 0.5)
    assert "\n" not in caught.value.problem.where


def test_a_tiff_with_an_unreadable_name_of_bytes(tmp_path: Path) -> None:
    path = Path(os.fsdecode(os.fsencode(tmp_path) + b"/\xff\xfe.tif"))
    write_tiff(path, halved(PICTURE))
    assert open_slide(path).info.width == 60


def test_a_colour_profile_that_is_none_is_only_told(tmp_path: Path) -> None:
    profile = bytearray(200)
    for space, told in ((b"CMYK", 1), (b"RGB ", 0)):
        profile[16:20] = space
        path = write_tiff(tmp_path / "a.tif", PICTURE, iccprofile=bytes(profile))
        slide = open_slide(path)
        assert len(slide.info.cautions) == told
        assert (slide.read(0, 0, 120, 100, 0.5) == PICTURE).all()
        slide.close()


@pytest.mark.parametrize(
    ("level", "words"),
    [
        (RawLevel(10**6, 10**6, 10**4, 10**4), "the header claims"),
        (RawLevel(600_000, 600_000, 256, 256), "5494336 tiles"),
        (RawLevel(20_000, 20_000, 20_000, 20_000), "stored in one piece"),
        (RawLevel(0, 10, 1, 1), "0 pixels"),
    ],
)
def test_sizes_no_slide_has(level: RawLevel, words: str) -> None:
    with pytest.raises(SlideError, match=words):
        check_size(Path("a.svs"), (level,))
    check_size(Path("a.svs"), (RawLevel(600_000, 500_000, 512, 512),))
