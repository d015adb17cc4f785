"""Weights as tme ships them -> a network that can go on learning.

The exporter folds every batch norm into the convolution before it, so what is read back is a network of
plain convolutions with biases: there are no running statistics left that a few fields could spoil.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import nn

from tme.errors import EngineError
from tme.learn.network import STRIDE, NucleusNet


def folded() -> NucleusNet:
    """A network without batch norms: each convolution has a bias in their place; no weights yet."""
    network = NucleusNet()
    for module in list(network.modules()):
        if isinstance(module, nn.Sequential) and len(module) == 2 and isinstance(module[1], nn.BatchNorm2d):
            module[0] = _with_bias(module[0])
            module[1] = nn.Identity()
    return network


def _with_bias(plain: Any) -> Any:
    return nn.Conv2d(
        plain.in_channels, plain.out_channels, plain.kernel_size, plain.stride, plain.padding, bias=True
    )


def load_onnx(path: Path) -> NucleusNet:
    """The network of an ONNX file that `tme.learn.export` wrote.

    Names do not survive the export, the order does: the file's convolutions are the network's, as they
    are computed.

    Raises
    ------
    EngineError
        If the file holds another network.
    """
    import onnx
    from onnx import numpy_helper

    graph = onnx.load(str(path)).graph
    # Values that are equal are kept once and passed on by identities.
    same = {node.output[0]: node.input[0] for node in graph.node if node.op_type == "Identity"}
    values = {item.name: numpy_helper.to_array(item) for item in graph.initializer}
    stored = [node for node in graph.node if node.op_type == "Conv"]
    network = folded()
    layers = _convolutions(network)
    if len(stored) != len(layers):
        raise _stranger(path, f"it has {len(stored)} convolutions and not {len(layers)}")
    for layer, node in zip(layers, stored, strict=True):
        parts = [values[same.get(name, name)] for name in node.input[1:] if same.get(name, name) in values]
        if [part.shape for part in parts] != [tuple(layer.weight.shape), tuple(layer.bias.shape)]:
            raise _stranger(path, "its convolutions have other sizes")
        with torch.no_grad():
            layer.weight.copy_(torch.from_numpy(parts[0].copy()))
            layer.bias.copy_(torch.from_numpy(parts[1].copy()))
    return network.to(memory_format=torch.channels_last)


def _convolutions(network: NucleusNet) -> list[Any]:
    """In the order they are computed."""
    order: list[Any] = []
    hooks = [
        module.register_forward_hook(lambda layer, *_: order.append(layer))
        for module in network.modules()
        if isinstance(module, nn.Conv2d)
    ]
    with torch.no_grad():
        network.eval()(torch.zeros(1, 3, STRIDE, STRIDE))
    for hook in hooks:
        hook.remove()
    return order


def _stranger(path: Path, why: str) -> EngineError:
    return EngineError(
        "these weights are of another network",
        where=path.name,
        why=why,
        fix="start from the weights that come with tme, or from what `tme train` wrote with this version",
    )
