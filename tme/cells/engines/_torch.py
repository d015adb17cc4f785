"""PyTorch as every engine uses it: on the device the settings name, and repeatable."""

from __future__ import annotations

from typing import Any

from tme.errors import EngineError, SpaceError


def use_gpu(torch: Any, device: str) -> bool:
    """Whether to compute on a GPU.

    Parameters
    ----------
    torch : module
    device : {"auto", "cpu", "gpu"}

    Raises
    ------
    EngineError
        If a GPU is asked for and there is none.
    """
    present = bool(torch.cuda.is_available() or torch.backends.mps.is_available())
    if device == "gpu" and not present:
        raise EngineError(
            "there is no GPU that PyTorch can use",
            where="cells.device: gpu",
            why="CUDA and Metal are both unavailable to the PyTorch installed",
            fix="set cells.device: auto, or install a PyTorch built for this GPU and its driver",
        )
    return present and device != "cpu"


def make_repeatable(torch: Any, gpu: bool) -> None:
    """Same bytes whoever computes: one thread a worker on CPU, no choice of kernels by timing on GPU."""
    # Says aloud what is torch's default, which otherwise warns once a process.
    torch.sparse.check_sparse_tensor_invariants.disable()
    if gpu:
        torch.backends.cudnn.benchmark = False
        torch.backends.cudnn.deterministic = True
    else:
        torch.set_num_threads(1)


def out_of_gpu_memory(error: Exception) -> SpaceError:
    """What a user is told when torch raises ``OutOfMemoryError``."""
    return SpaceError(
        "the GPU's memory ran out",
        where="cells.device",
        why=str(error).split("\n")[0][:200],
        fix="run with fewer workers, free the GPU, or set cells.device: cpu",
    )
