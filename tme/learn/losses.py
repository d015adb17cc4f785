"""Masked losses: every pixel counts by its weight, so what is unknown teaches nothing."""

from __future__ import annotations

from typing import Any

import torch
from torch.nn import functional

WEIGHTS = {"nucleus": 1.0, "centre": 1.0, "offset": 1.0, "lymphocyte": 1.0}
SMOOTHED = 0.03


def losses(answer: Any, target: Any) -> dict[str, Any]:
    """Named scalar losses of (N, 5, H, W) answers and (N, 9, H, W) stacked targets."""
    nucleus, centre, offset, lymphocyte = target[:, 0], target[:, 1], target[:, 2:4], target[:, 4]
    w_nucleus, w_centre, w_offset, w_lymphocyte = target[:, 5:9].unbind(1)
    return {
        "nucleus": nucleus_loss(answer[:, 0], nucleus, w_nucleus),
        "centre": centre_loss(answer[:, 1], centre, w_centre),
        "offset": offset_loss(answer[:, 2:4], offset, w_offset),
        "lymphocyte": lymphocyte_loss(answer[:, 4], lymphocyte, w_lymphocyte),
    }


def nucleus_loss(logit: Any, target: Any, weight: Any) -> Any:
    """Cross-entropy plus soft Dice over the pixels that are known."""
    plain = functional.binary_cross_entropy_with_logits(logit, target, reduction="none")
    probability = torch.sigmoid(logit)
    both = (weight * probability * target).sum()
    either = (weight * (probability + target)).sum()
    return (plain * weight).sum() / weight.sum().clamp(min=1) + 1 - (2 * both + 1) / (either + 1)


def centre_loss(logit: Any, target: Any, weight: Any) -> Any:
    """Penalty-reduced focal loss of CenterNet (Zhou et al., 2019), a peak's share of its own."""
    peak = (target >= 0.999).float()
    probability = torch.sigmoid(logit).clamp(1e-5, 1 - 1e-5)
    hit = peak * (1 - probability) ** 2 * torch.log(probability)
    miss = (1 - peak) * (1 - target) ** 4 * probability**2 * torch.log(1 - probability)
    return -((hit + miss) * weight).sum() / (peak * weight).sum().clamp(min=8)


def offset_loss(answer: Any, target: Any, weight: Any) -> Any:
    """Smooth L1 of the arrows, over nucleus pixels."""
    wrong = functional.smooth_l1_loss(answer, target, reduction="none", beta=0.1).sum(1)
    return (wrong * weight).sum() / weight.sum().clamp(min=64)


def lymphocyte_loss(logit: Any, target: Any, weight: Any) -> Any:
    """Cross-entropy per nucleus, labels smoothed: classes by hand are not certain."""
    soft = target * (1 - 2 * SMOOTHED) + SMOOTHED
    plain = functional.binary_cross_entropy_with_logits(logit, soft, reduction="none")
    return (plain * weight).sum() / weight.sum().clamp(min=4)
