"""An ONNX file -> a callable: on OpenVINO where it is installed, on onnxruntime elsewhere and on GPUs.

One thread each on a CPU: workers do not fight for cores, and the order of sums, so every byte, is fixed.
Both are imported when a network is opened and not before.
"""

from __future__ import annotations

import threading
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from tme.errors import EngineError
from tme.slide.types import RGB


class Network(Protocol):
    """(H, W, 3) uint8, sides a multiple of the stride -> (C, H, W) float32."""

    def __call__(self, rgb: RGB) -> NDArray[np.float32]: ...


def open_network(path: Path, device: str) -> tuple[Network, str]:
    """The network and the name of what computes it.

    Parameters
    ----------
    path : Path
        ONNX with one uint8 input (1, H, W, 3) and one float32 output (1, C, H, W).
    device : {"auto", "cpu", "gpu"}

    Raises
    ------
    EngineError
        If a GPU is asked for and there is none.
    """
    if device != "cpu" and _cuda():
        return _OnnxRuntime(path, ["CUDAExecutionProvider", "CPUExecutionProvider"]), "onnxruntime-cuda"
    if device == "gpu":
        raise EngineError(
            "there is no GPU that onnxruntime can use",
            where="cells.device: gpu",
            why="its CUDA provider is not installed or finds no device",
            fix="set cells.device: auto, or pip install onnxruntime-gpu for this driver",
        )
    if find_spec("openvino"):
        return _OpenVino(path), "openvino"
    return _OnnxRuntime(path, ["CPUExecutionProvider"]), "onnxruntime"


def _cuda() -> bool:
    if not find_spec("onnxruntime"):
        return False
    import onnxruntime

    return "CUDAExecutionProvider" in onnxruntime.get_available_providers()


class _OnnxRuntime:
    """A session; its run may be called from any thread."""

    def __init__(self, path: Path, providers: list[str]) -> None:
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        options.inter_op_num_threads = 1
        options.use_deterministic_compute = True
        options.log_severity_level = 3
        self.session = onnxruntime.InferenceSession(str(path), options, providers=providers)
        self.name = self.session.get_inputs()[0].name

    def __call__(self, rgb: RGB) -> NDArray[np.float32]:
        return np.asarray(self.session.run(None, {self.name: rgb[None]})[0][0], np.float32)


# The first array that OpenVINO's binding takes sets up statics: a thread that holds the interpreter's lock
# waits there for one that has begun and waits for that lock. Whoever begins, begins alone.
_BEGINNING = threading.Lock()


class _OpenVino:
    """A compiled model per thread: one stream each, so threads neither wait for nor disturb one another."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.local = threading.local()

    def __call__(self, rgb: RGB) -> NDArray[np.float32]:
        request = getattr(self.local, "request", None)
        if request is None:
            with _BEGINNING:
                request = self._request()
                answer = request.infer({0: rgb[None]})
            self.local.request = request
        else:
            answer = request.infer({0: rgb[None]})
        return np.array(answer[0][0], np.float32)

    def _request(self) -> Any:
        import openvino

        core = openvino.Core()
        options = {
            "INFERENCE_NUM_THREADS": 1,
            "NUM_STREAMS": 1,
            "ENABLE_CPU_PINNING": False,
            # Never bf16 by itself: the same counts on a processor that has it.
            "INFERENCE_PRECISION_HINT": "f32",
        }
        return core.compile_model(core.read_model(str(self.path)), "CPU", options).create_infer_request()
