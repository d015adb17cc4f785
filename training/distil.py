"""A teacher too large to ship, and students small enough to, from one stream of crops on one GPU.

    python -m training.distil DATA WORK --student 16,40,80,128/1,1,2=START/weights.pt ... --steps N [--more M]

The teacher (`TEACHER`) learns from labels alone. Each student learns from labels and from the teacher's
running mean, whose answers reach where nobody labelled: outlines on fields of centres, classes of nuclei
without one (Hinton et al., Distilling the Knowledge in a Neural Network, 2015). Batches are those of
`tme.learn.fit.Sampler`, made by worker processes; the same numbers give the same crops.

``--more M`` goes on for M steps with the held fields among those learned from: what ships then has seen
every label, and its scores are those of the weights before. Student K leaves WORK/K/held.pt and
WORK/K/weights.pt for `training.publish`.
"""

from __future__ import annotations

import argparse
import json
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from copy import deepcopy
from dataclasses import replace
from pathlib import Path
from time import monotonic
from typing import Any

import cv2
import torch
from torch.nn import functional
from torch.utils.data import DataLoader, Dataset

from tme.learn.field import Field
from tme.learn.fit import Recipe, Sampler, append_row, decaying, described, kept_at, rate_at
from tme.learn.losses import WEIGHTS, losses
from tme.learn.network import NucleusNet
from tme.learn.targets import CENTRE_PX
from tme.safety import file_sha256
from training import sets, synthetic
from training.make import SHARES, watch

TEACHER = ((48, 96, 160, 256), (2, 2, 3))
TEACHER_RATE, STUDENT_RATE, MORE_RATE = 2e-3, 1.5e-3, 8e-4
TRUSTED = (0.1, 0.4)
"""Shares of the steps between which the weight of the teacher's answers grows from 0 to 1."""
PEAK_PX2 = 2 * math.pi * CENTRE_PX**2
"""Sum of one centre's peak."""
WARM = 3
EVERY = 250
LOOKS = {"HE": 500, "CD8": 90, "CD31": 50}


class Batches(Dataset[Any]):
    """Step -> (N, 3, S, S) uint8 images and (N, 9, S, S) float16 targets."""

    def __init__(self, sampler: Sampler) -> None:
        self.sampler = sampler

    def __getitem__(self, step: int) -> tuple[Any, Any]:
        images, targets = self.sampler.batch(step)
        return torch.from_numpy(images), torch.from_numpy(targets).half()


def batches(sampler: Sampler, steps: range, workers: int) -> Iterator[tuple[Any, Any]]:
    """Batches of some steps, in order, however many processes make them."""
    if workers:
        # Before they are forked: a child cannot shut down threads it has not got.
        cv2.setNumThreads(1)
    loader = DataLoader(
        Batches(sampler),
        batch_size=None,
        sampler=steps,
        num_workers=workers,
        prefetch_factor=3 if workers else None,
        pin_memory=torch.cuda.is_available(),
    )
    return iter(loader)


class Learner:
    """A network, the running mean of its weights, and its optimiser; no step of it waits for the GPU."""

    def __init__(self, network: NucleusNet, recipe: Recipe, device: torch.device) -> None:
        self.network = network.to(device, memory_format=torch.channels_last).train()
        self.mean = deepcopy(self.network).eval().requires_grad_(False)
        self.recipe = recipe
        self.sums = {name: torch.zeros((), device=device) for name in WEIGHTS}
        self.follow = torch.zeros((), device=device)
        on_gpu = device.type == "cuda"
        rate = torch.tensor(recipe.rate, device=device)
        self.optimiser = torch.optim.AdamW(
            decaying(self.network, recipe), lr=rate, capturable=on_gpu, foreach=on_gpu
        )

    def prepare(self, step: int, of: int) -> None:
        """Set what the next step reads: the rate of learning and how fast the mean follows."""
        rate = rate_at(step, replace(self.recipe, steps=of))
        for group in self.optimiser.param_groups:
            group["lr"].fill_(rate)
        self.follow.fill_(1 - kept_at(step, self.recipe))

    def learn(self, answer: Any, targets: Any, taught: Any | None, trust: Any) -> None:
        """One step from answers of the network."""
        parts = losses(answer, targets)
        total = sum(WEIGHTS[name] * value for name, value in parts.items())
        if taught is not None:
            total = total + trust * soft_loss(answer, taught)
        total.backward()
        torch.nn.utils.clip_grad_norm_(self.network.parameters(), 5.0)
        self.optimiser.step()
        self.optimiser.zero_grad(set_to_none=True)
        with torch.no_grad():
            for name, value in parts.items():
                self.sums[name] += value.detach()
            now = [v for v in self.network.state_dict().values() if v.dtype.is_floating_point]
            mean = [v for v in self.mean.state_dict().values() if v.dtype.is_floating_point]
            further = torch._foreach_sub(now, mean)
            torch._foreach_mul_(further, self.follow)
            torch._foreach_add_(mean, further)


def soft_loss(answer: Any, taught: Any) -> Any:
    """How far (N, 5, H, W) answers are from a teacher's, everywhere."""
    nucleus, centre, lymphocyte = (torch.sigmoid(taught[:, k]) for k in (0, 1, 4))
    area = nucleus.sum().clamp(min=64)
    cross = functional.binary_cross_entropy_with_logits
    apart = (torch.sigmoid(answer[:, 1]) - centre).square()
    # Quality focal loss (Li et al., 2020): the focal loss of a target between 0 and 1.
    peaks = (apart * cross(answer[:, 1], centre, reduction="none")).sum()
    arrows = functional.smooth_l1_loss(answer[:, 2:4], taught[:, 2:4], reduction="none", beta=0.1).sum(1)
    classes = cross(answer[:, 4], lymphocyte, reduction="none")
    return (
        cross(answer[:, 0], nucleus)
        + peaks / (centre.sum() / PEAK_PX2).clamp(min=8)
        + (arrows * nucleus).sum() / area
        + (classes * nucleus).sum() / area
    )


class School:
    """Teacher and students and one step of all of them, replayed as one graph on a GPU."""

    def __init__(self, teacher: Learner, students: Sequence[Learner], device: torch.device) -> None:
        self.teacher, self.students = teacher, students
        self.device = device
        self.trust = torch.zeros((), device=device)
        self.graph: Any = None
        self.images: Any = None
        self.targets: Any = None

    def step(self, images: Any, targets: Any, step: int, of: int, trust: float) -> None:
        """Let everybody learn from a batch."""
        if self.images is None:
            self.images = torch.empty_like(images, device=self.device)
            self.targets = torch.empty_like(targets, device=self.device)
        self.images.copy_(images, non_blocking=True)
        self.targets.copy_(targets, non_blocking=True)
        self.trust.fill_(trust)
        for learner in (self.teacher, *self.students):
            learner.prepare(step, of)
        if self.device.type != "cuda":
            self._learn()
        elif self.graph is None:
            self._record()
        else:
            self.graph.replay()

    def _record(self) -> None:
        """The first step, some times over (capturing needs it warm), then captured."""
        aside = torch.cuda.Stream()
        aside.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(aside):
            for _ in range(WARM):
                self._learn()
        torch.cuda.current_stream().wait_stream(aside)
        for learner in (self.teacher, *self.students):
            for total in learner.sums.values():
                total.div_(WARM)
        self.graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(self.graph):
            self._learn()

    def _learn(self) -> None:
        rgb = self.images.float().contiguous(memory_format=torch.channels_last)
        targets = self.targets.float()
        half = torch.autocast(
            self.device.type, torch.bfloat16, enabled=self.device.type == "cuda", cache_enabled=False
        )
        with torch.no_grad(), half:
            taught = self.teacher.mean(rgb).float()
        for learner in (self.teacher, *self.students):
            with half:
                answer = learner.network(rgb)
            learner.learn(answer.float(), targets, None if learner is self.teacher else taught, self.trust)


def attend(
    school: School,
    fields: Sequence[Field],
    recipe: Recipe,
    steps: range,
    workers: int,
    trusted: Callable[[float], float],
    log: Path,
    deadline: float,
) -> bool:
    """Teach for some steps, the rate one cycle over them; False where a deadline cut them short."""
    began = monotonic()
    named = {"teacher": school.teacher, **{f"student{k}": one for k, one in enumerate(school.students)}}
    source = batches(Sampler(fields, recipe), steps, workers)
    for done, (images, targets) in enumerate(source):
        school.step(images, targets, done, len(steps), trusted(done / len(steps)))
        late = monotonic() > deadline
        if (done + 1) % EVERY == 0 or done + 1 == len(steps) or late:
            count = (done + 1) - done // EVERY * EVERY
            row = {"step": steps[done] + 1, "seconds": round(monotonic() - began, 1)}
            for name, learner in named.items():
                for part, total in learner.sums.items():
                    row[f"{name}.{part}"] = round(float(total) / count, 4)
                    total.zero_()
            append_row(log, row)
            print(row, flush=True)
        if late:
            return done + 1 == len(steps)
    return True


def growing(done: float) -> float:
    """Weight of the teacher's answers after a share of the steps."""
    first, last = TRUSTED
    return min(max((done - first) / (last - first), 0.0), 1.0)


def student(text: str) -> tuple[NucleusNet, str]:
    """A network from ``WIDTHS/BLOCKS[=WEIGHTS]``, the weights grown to its shape."""
    shape, _, weights = text.partition("=")
    widths, blocks = ([int(n) for n in part.split(",")] for part in shape.split("/"))
    network = NucleusNet(widths, blocks)
    if weights:
        network.load_state_dict(grown(torch.load(weights, weights_only=True), network.state_dict()))
    return network, shape


def grown(weights: Mapping[str, Any], own: Mapping[str, Any]) -> dict[str, Any]:
    """Weights of a narrower network in the shapes of a wider one, which then answers as it did.

    What is new listens to all and is not yet listened to. Blocks the network has not got are left out, and
    those the weights have not got start anew; then it answers otherwise.

    Raises
    ------
    ValueError
        If the weights are of a wider network.
    """
    out = {name: value.clone() for name, value in own.items()}
    for name, value in weights.items():
        if name not in out:
            continue
        if any(has > room for has, room in zip(value.shape, out[name].shape, strict=True)):
            raise ValueError(f"{name}: {tuple(value.shape)} does not fit into {tuple(out[name].shape)}")
        if value.ndim > 1:
            out[name][: value.shape[0], value.shape[1] :] = 0
        out[name][tuple(slice(n) for n in value.shape)] = value
    return out


def save(learners: Sequence[Learner], work: Path, name: str) -> None:
    """WORK/K/NAME.pt: the mean weights of every learner, in float32."""
    for k, learner in enumerate(learners):
        folder = work / str(k)
        folder.mkdir(parents=True, exist_ok=True)
        learner.mean.load_state_dict(
            {
                name: value if value.dtype.is_floating_point else learner.network.state_dict()[name]
                for name, value in learner.mean.state_dict().items()
            }
        )
        torch.save({k: v.cpu() for k, v in learner.mean.state_dict().items()}, folder / f"{name}.pt")


def main() -> None:
    """Parse, teach, save."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("data", type=Path)
    parser.add_argument("work", type=Path)
    parser.add_argument("--student", action="append", default=[], metavar="WIDTHS/BLOCKS[=WEIGHTS]")
    parser.add_argument("--steps", type=int, required=True)
    parser.add_argument("--more", type=int, default=0)
    parser.add_argument("--minutes", type=float, default=math.inf, help="stop then, however far")
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--workers", type=int, default=0)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--looks", type=int, nargs=3, default=tuple(LOOKS.values()))
    parser.add_argument("--first-look", type=int, default=950_000)
    chosen = parser.parse_args()
    began = monotonic()
    deadline = began + 60 * chosen.minutes
    if chosen.work.exists() and any(chosen.work.iterdir()):
        parser.error(f"{chosen.work} is not empty: weights of two runs must not lie side by side")
    chosen.work.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(chosen.seed)
    device = torch.device(chosen.device)
    split = sets.load(chosen.data, chosen.workers)
    looks = list(
        synthetic.fields(chosen.first_look, dict(zip(LOOKS, chosen.looks, strict=True)), chosen.workers)
    )
    print(f"{len(split.train)} fields and {len(looks)} looks after {monotonic() - began:.0f} s", flush=True)
    recipe = Recipe(
        steps=chosen.steps, batch=chosen.batch, rate=STUDENT_RATE, shares=SHARES, seed=chosen.seed
    )
    networks = [student(text) for text in chosen.student]
    teacher = Learner(NucleusNet(*TEACHER), replace(recipe, rate=TEACHER_RATE), device)
    students = [Learner(network, recipe, device) for network, _ in networks]
    school = School(teacher, students, device)
    described_here = {
        **described(recipe),
        "teacher": TEACHER,
        "teacher_rate": TEACHER_RATE,
        "more": chosen.more,
        "more_rate": MORE_RATE,
        "students": [shape for _, shape in networks],
        "start_sha256": [file_sha256(Path(w)) for text in chosen.student if (w := text.partition("=")[2])],
        "looks": chosen.looks,
        "first_look": chosen.first_look,
    }
    (chosen.work / "recipe.json").write_text(json.dumps(described_here, indent=1))
    log = chosen.work / "log.csv"
    whole = attend(
        school, split.train + looks, recipe, range(chosen.steps), chosen.workers, growing, log, deadline
    )
    more = chosen.more if whole else 0
    save(students, chosen.work, "held" if more else "weights")
    for k, one in enumerate(students):
        print(k, {name: round(value, 4) for name, value in watch(split.held)(one.mean).items()}, flush=True)
    if more:
        for learner in (teacher, *students):
            learner.recipe = replace(learner.recipe, rate=MORE_RATE)
        steps = range(chosen.steps, chosen.steps + more)
        every = split.train + split.held + looks
        attend(school, every, recipe, steps, chosen.workers, lambda _: 1.0, log, deadline)
        save(students, chosen.work, "weights")


if __name__ == "__main__":
    main()
