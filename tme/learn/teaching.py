"""Fields -> fine-tuned weights and what they are worth: the whole of `tme train` but its words and files.

start -> before (held fields) -> tune -> export -> after (held fields) -> calibration
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import numpy as np

from tme.cells.engines._description import Calibration, Description, read_description, weights_file
from tme.cells.engines._runtime import Network, open_network
from tme.cells.instances import Decoding, sureness
from tme.errors import EngineError
from tme.learn.bundled import load_onnx
from tme.learn.calibrate import called, fit_curve, search_decoding
from tme.learn.compare import Reader, ask_file, matched, measure, worth
from tme.learn.export import calibration_windows, export_fp32, export_int8
from tme.learn.field import Field
from tme.learn.fit import Recipe
from tme.learn.holding import Parts
from tme.learn.score import Matched
from tme.learn.tuning import recipe_for, tune, with_own_classes, within_minutes

LEAST_OF_A_KIND = 20
INT8_LOSS = 0.01
INT8_WINDOWS = 24
READ_FIELDS = 8
Scores = dict[str, float]


@dataclass(frozen=True)
class Start:
    """Weights a fine-tuning begins from."""

    description: Description
    weights: Path

    @property
    def reader(self) -> Reader:
        """How its answers are read."""
        return Reader(self.description.reading.decoding(), self.description.calibration)


@dataclass(frozen=True)
class Wish:
    """What the user asks of the training itself.

    Attributes
    ----------
    steps : int or None
        None: by the number of fields.
    minutes : float or None
        Most minutes of training; None: no limit.
    seed, threads : int
    """

    steps: int | None
    minutes: float | None
    seed: int
    threads: int


@dataclass(frozen=True)
class Taught:
    """What came of it.

    Attributes
    ----------
    files : dict of str to Path
        ``fp32``, and ``int8`` where it could be made and is as good.
    log : Path
    recipe : Recipe
    columns : dict of str to scores
        ``before``, ``after`` and, where it was made, ``after, int8``; empty without held fields.
    reader : Reader
        How the new weights' answers are read.
    notes : list of str
        Sentences for the user and the model card.
    """

    files: dict[str, Path]
    log: Path
    recipe: Recipe
    columns: dict[str, Scores]
    reader: Reader
    notes: list[str]

    @property
    def better(self) -> bool:
        """Whether the held fields are answered better than before; False without any."""
        return bool(self.columns) and worth(self.columns["after"]) > worth(self.columns["before"])


def read_start(path: Path) -> Start:
    """Open the weights to begin from.

    Raises
    ------
    EngineError
        If they are not there.
    ConfigError
        If they are not what their description says.
    """
    if not path.is_file():
        raise EngineError(
            "there are no weights to start from",
            where=path.name,
            why="a fine-tuning goes on from trained weights",
            fix="install tme as it was published, or name a description with --start",
        )
    description = read_description(path)
    return Start(description, weights_file(description, path.parent, "fp32")[0])


def teach(start: Start, parts: Parts, wish: Wish, folder: Path, say: Callable[[str], None]) -> Taught:
    """Fine-tune on one part of the fields and measure on the other.

    Parameters
    ----------
    start : Start
    parts : Parts
    wish : Wish
    folder : Path
        For the log and the weights.
    say : callable
        Gets lines of progress.
    """
    reader, old = start.reader, open_network(start.weights, "cpu")[0]
    known = matched(old, parts.learn, reader.rule)
    fields = [with_own_classes(field, found) for field, found in zip(parts.learn, known, strict=True)]
    network = load_onnx(start.weights)
    recipe = recipe_for(fields, wish.steps, wish.seed)
    if wish.minutes is not None:
        recipe = within_minutes(network, fields, recipe, wish.minutes, folder / "trial.csv")
    log = folder / "log.csv"
    tuned = tune(
        network, fields, recipe, log, wish.threads, lambda step: say(f"step {step} of {recipe.steps}")
    )
    files = {"fp32": folder / "fp32.onnx"}
    export_fp32(tuned, files["fp32"])
    new = open_network(files["fp32"], "cpu")[0]
    rule = _rule(new, parts.learn, reader)
    read = Reader(rule, moved(reader.calibration, known, matched(new, parts.learn, rule)))
    columns, found, notes = _compared(old, new, parts.held, reader, read)
    notes += _quantised(files, fields, parts.held, read, columns)
    calibration, said = _calibrated(found, read.calibration)
    return Taught(files, log, recipe, columns, Reader(read.rule, calibration), [*notes, said])


def _rule(network: Network, learned: Sequence[Field], reader: Reader) -> Decoding:
    """How the tuned network's answers are read: chosen on what it learned from, never on what is held.

    A few fields move the height of its peaks, and with it the threshold that suits them. Where labels are
    incomplete nobody knows what was found too much, and the rule stays.
    """
    if not all(field.complete for field in learned):
        return reader.rule
    some = learned[:: max(1, len(learned) // READ_FIELDS)]
    return search_decoding(ask_file(network, some), reader.rule, lambda found: worth(measure(found, reader)))


def moved(curve: Calibration, before: Sequence[Matched], after: Sequence[Matched]) -> Calibration:
    """The curve for a network whose centres have grown higher or lower, on the same labelled nuclei.

    How sure it is of a nucleus counts: without this a change of height alone would change who is a
    lymphocyte.
    """
    levels = [
        np.concatenate([np.zeros(0), *(sureness(m.instances)[m.pairs[:, 0]] for m in found)])
        for found in (before, after)
    ]
    if not all(len(level) for level in levels):
        return curve
    higher = float(np.median(levels[1]) - np.median(levels[0]))
    intercept = np.clip(curve.intercept - curve.peak * higher, -20, 20)
    return curve.model_copy(update={"intercept": round(float(intercept), 4)})


def _compared(
    old: Network, new: Network, held: Sequence[Field], reader: Reader, read: Reader
) -> tuple[dict[str, Scores], list[Matched], list[str]]:
    if not held:
        return {}, [], ["No field was held out: nobody knows whether these weights are better."]
    found = matched(new, held, read.rule)
    before = measure(matched(old, held, reader.rule), reader)
    return {"before": before, "after": measure(found, read)}, found, []


def _quantised(
    files: dict[str, Path],
    fields: Sequence[Field],
    held: Sequence[Field],
    reader: Reader,
    columns: dict[str, Scores],
) -> list[str]:
    """Add int8 weights to ``files`` and their scores to ``columns`` if they are as good."""
    if find_spec("nncf") is None:
        return ["int8 weights were not made: the package nncf is not installed."]
    path = files["fp32"].with_name("int8.onnx")
    some = [fields[number % len(fields)] for number in range(INT8_WINDOWS)]
    export_int8(files["fp32"], path, calibration_windows(some))
    if held:
        scores = measure(matched(open_network(path, "cpu")[0], held, reader.rule), reader)
        if worth(scores) < worth(columns["after"]) - INT8_LOSS:
            return [f"int8 weights were left out: on the held fields they reach {worth(scores):.3f} only."]
        columns["after, int8"] = scores
    files["int8"] = path
    return []


def _calibrated(found: Sequence[Matched], before: Calibration) -> tuple[Calibration, str]:
    """The curve from logits to the probability of lymphocyte, and how it came about."""
    truth = np.concatenate(
        [np.zeros(0, np.float32), *(one.answered.crop.lymphocyte[one.pairs[:, 1]] for one in found)]
    )
    kinds = int((truth == 1).sum()), int((truth == 0).sum())
    if min(kinds) < LEAST_OF_A_KIND:
        return before, (
            "The probability of lymphocyte is calibrated as before: the held fields have"
            f" {kinds[0]} lymphocytes and {kinds[1]} other nuclei that were found and labelled, and"
            f" {LEAST_OF_A_KIND} of each are needed."
        )
    # The size of a lymphocyte is the same on all sites, and a few fields would say little of it.
    curve = fit_curve(called(found), (before.size, before.size_squared))
    curve = curve.model_copy(update={"least": before.least})
    return curve, (
        f"The probability of lymphocyte was calibrated anew on {sum(kinds)} labelled nuclei of the held"
        f" fields and what was found beside complete labels (slope {curve.slope:.2f}, peak {curve.peak:.2f},"
        f" intercept {curve.intercept:.2f}; a lymphocyte from {curve.least:g} on); the table was made before"
        " that."
    )
