"""What a stain means, and what it looks like on one slide."""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass, field
from typing import Any, Literal

Vector = tuple[float, float, float]


def normalised_name(text: str) -> str:
    """A stain's spelling without case, punctuation, spaces and Unicode look-alikes: ``Ki-67`` -> ``ki67``."""
    folded = unicodedata.normalize("NFKC", text).casefold()
    return "".join(letter for letter in folded if letter.isalnum())


@dataclass(frozen=True)
class Stain:
    """A registered stain: what is counted on it and where the marker sits.

    Attributes
    ----------
    name : str
        As in the sample sheet, e.g. ``CD8``.
    title : str
    kind : {"he", "dab"}
    targets : tuple of {"cells", "vessels"}
        What is segmented on it.
    marker_site : {"", "nucleus", "membrane", "endothelium"}
    til_marker : bool
        Whether a positive cell is a tumour-infiltrating lymphocyte.
    synonyms : tuple of str
        Other spellings accepted in a sheet, compared without case and punctuation.
    vectors : tuple of two unit vectors
        Reference optical-density directions (R, G, B) of haematoxylin and of eosin or DAB.
    note : str
        Confounders a reader must know.
    """

    name: str
    title: str
    kind: Literal["he", "dab"]
    targets: tuple[str, ...]
    marker_site: Literal["", "nucleus", "membrane", "endothelium"] = ""
    til_marker: bool = False
    synonyms: tuple[str, ...] = ()
    vectors: tuple[Vector, Vector] = ((0.65, 0.70, 0.29), (0.27, 0.57, 0.78))
    note: str = ""

    @property
    def has_tils(self) -> bool:
        """Whether cells counted on it can be tumour-infiltrating lymphocytes."""
        return "cells" in self.targets and (self.kind == "he" or self.til_marker)


@dataclass(frozen=True)
class StainProfile:
    """One slide's stain, estimated once from a seeded sample of the whole slide.

    Attributes
    ----------
    stain : str
        Name of the `Stain`.
    background : (R, G, B)
        Colour of empty glass, 0-255; optical density is -log10(I / background).
    vectors : three unit vectors
        OD directions: haematoxylin, eosin or DAB, residual.
    dab_threshold_od : float or None
        DAB OD from which a cell or pixel is positive; None for H&E, and where `no_count` says why.
    threshold_source : {"", "slide", "config", "calibration", "control"}
    threshold_note : str
        Why the threshold may not be trusted or why there is none, empty if it may.
    threshold_low_od, threshold_high_od : float or None
        95 % interval of the threshold; None where it was not estimated.
    slide_threshold_od : float or None
        What the slide's own histogram gives, whichever threshold is used; None where it gives none.
    haematoxylin_under_dab : float or None
        Median of haematoxylin over DAB where the slide is positive (`tme.stains.golden`); None where that
        says nothing.
    least_green : float or None
        Density in green over the geometric mean of red and blue under which a colour is pigment, not this
        slide's stain (`tme.stains.brown`); None where that is not told. As the one above, it is read off what
        is positive by the slide's own threshold, whichever is used.
    wrong_stain : str
        Why this cannot be the stain named, whatever the threshold; empty where it can.
    cautions : tuple of str
        e.g. that the slide hardly looks like the stain named.
    histogram : dict
        What the threshold was read from: ``{"edges": [...], "counts": [...]}``.
    levels : dict of str to float
        Optical densities engines normalise by, measured on the same sample: ``nuclear`` (the cut
        between nuclei and the rest on the nuclear signal), ``background`` and ``nucleus`` (the
        medians on either side of it); and ``detail``, how crisp nuclei are
        (`tme.stains.nuclear.nuclear_detail`).
    """

    stain: str
    background: Vector
    vectors: tuple[Vector, Vector, Vector]
    dab_threshold_od: float | None = None
    threshold_source: str = ""
    threshold_note: str = ""
    cautions: tuple[str, ...] = ()
    histogram: dict[str, list[float]] = field(default_factory=dict)
    levels: dict[str, float] = field(default_factory=dict)
    threshold_low_od: float | None = None
    threshold_high_od: float | None = None
    slide_threshold_od: float | None = None
    haematoxylin_under_dab: float | None = None
    least_green: float | None = None
    wrong_stain: str = ""

    @property
    def no_count(self) -> str:
        """Why nothing on this slide can be counted: the wrong stain, or no cut; else empty."""
        return self.wrong_stain or (self.threshold_note if self.dab_threshold_od is None else "")

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> StainProfile:
        """Undo ``dataclasses.asdict`` after a trip through JSON, which knows no tuples."""
        vectors = tuple(tuple(vector) for vector in value["vectors"])
        tuples = {
            "vectors": vectors,
            "background": tuple(value["background"]),
            "cautions": tuple(value["cautions"]),
        }
        return cls(**{**value, **tuples})
