"""Files of weights as the engines' authors publish them, made without the engines' packages."""

from __future__ import annotations

import io
import json
import pickle
import struct
import warnings
import zipfile

TENSOR = (
    b"ctorch._utils\n_rebuild_tensor_v2\n((X\x07\x00\x00\x00storagectorch\nFloatStorage\nX\x01\x00\x00\x000"
    b"X\x03\x00\x00\x00cpuK\x01tQK\x00K\x01\x85K\x01\x85\x89ccollections\nOrderedDict\n)RtR"
)
"""What torch writes for a tensor: calls of its own, and a reference to numbers outside the pickle."""
STATE = b"\x80\x02}X\x01\x00\x00\x00w" + TENSOR + b"s."
MAGIC = b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19."


def tensors(state: bytes = STATE, name: str = "data.pkl") -> bytes:
    """A file of torch's: a zip of a pickle and of numbers."""
    return zipped({f"archive/{name}": state, "archive/version": b"3\n", "archive/data/0": b"\0\0\x80?"})


def older_tensors(state: bytes = STATE) -> bytes:
    """The same in torch's older format: five pickles, then numbers."""
    rest = [pickle.dumps(value, protocol=2) for value in (1001, {"little_endian": True})]
    return MAGIC + b"".join(rest) + state + pickle.dumps(["0"], protocol=2) + b"\1\0\0\0\0\0\0\0\0\0\x80?"


def stardist_network(**other: bytes) -> bytes:
    """The zip of a StarDist network."""
    files = {
        "config.json": b"{}",
        "thresholds.json": json.dumps({"prob": 0.7, "nms": 0.3}).encode(),
        "weights_best.h5": b"\x89HDF\r\n\x1a\n" + bytes(100),
    }
    return zipped(files | {name.replace("__", "."): data for name, data in other.items()})


def script(code: bytes = b"def forward(self, x):\n  return x\n") -> bytes:
    """A TorchScript archive, as InstanSeg publishes its networks."""
    return zipped({"net/code/__torch__.py": code, "net/data.pkl": b"\x80\x02}.", "net/version": b"3\n"})


def doubled(files: list[tuple[str, bytes]]) -> bytes:
    """A zip that may hold a name twice."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for name, data in files:
            archive.writestr(name, data)
    return stream.getvalue()


def larger_than_it_says(name: str, size: int, says: int) -> bytes:
    """A zip of zeros of which the headers tell another size."""
    data = zipped({name: bytes(size)}, zipfile.ZIP_DEFLATED)
    return data.replace(struct.pack("<I", size), struct.pack("<I", says))


def zipped(files: dict[str, bytes], method: int = zipfile.ZIP_STORED) -> bytes:
    """A zip of these files."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", method) as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return stream.getvalue()
