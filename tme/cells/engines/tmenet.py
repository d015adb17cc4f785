"""tme's own network: nuclei and lymphocytes in one pass, from weights that come with the package.

In: RGB and the slide's stain profile. Out: labelled nuclei and, on H&E, how likely each is a lymphocyte.
On a DAB section brown cells are cut out whole by the slide's own threshold, as the classical engine does,
the network joins the arcs of a broken rim, parts cells that have run together, says in which there is a
nucleus and finds the others; where the marker sits in the nucleus, brown nuclei are the network's too and
only brown cells it missed are added.
How it was made is in ``training/``, what it cannot do in ``docs/model-card.md``.
"""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from tme.cells.engines import SEGMENTERS
from tme.cells.engines._brown import brown_cells
from tme.cells.engines._description import Description, read_description, weights_file
from tme.cells.engines._parting import Labels, around, disc
from tme.cells.engines._runtime import Network, open_network
from tme.cells.engines._supply import Pinned, Supply
from tme.cells.engines._views import STRIDE, viewed
from tme.cells.engines._weights import pinned_weights
from tme.cells.instances import Instances, decode
from tme.cells.nearest import nearest_within
from tme.cells.nuclei import renumbered, right_size
from tme.cells.types import CLUSTER_CELL_UM2, Detections, Evidence
from tme.config import OWN_NETWORK, CellSettings
from tme.errors import ConfigError
from tme.slide.types import RGB
from tme.stains import STAINS
from tme.stains.deconvolve import FloatImage, stain_od
from tme.stains.types import StainProfile
from tme.units import um2_to_px, um_to_px

BUNDLED = Path(__file__).parent / "weights" / "tmenet-5.json"
BUNDLED_SHA256 = "d373b9693ea0d2568be1ac3141cf2a6a5ceaf3deb8a870034dc00444adde0e9c"
"""Of the description, which pins the weights beside it."""
GLASS = 255
GAP_UM = 0.5
"""Around the cells of one kind none of the other is looked for: their rim is not one."""
LEAST_SHARED = 0.5
"""Share of a nucleus that lies in the brown cell it belongs to."""
LEAST_PARTED_UM2 = 50.0
"""Smaller brown cells are never parted: two lymphocytes cover more."""
PARTED_REACH_UM = 4.0
"""How far from its nucleus a pixel of a parted cell may lie."""
MOST_CLUSTER_UM2 = 2500.0
"""Of cells that have run together those without a nucleus of their own are counted by their area, up to as
much as a window's halo holds whole; what is larger is said to be left out."""
LEAST_HIDDEN = 0.75
"""Of the haematoxylin under DAB that the slide's positive cells hold; a vessel's wall on a field of CD31 has
0.6."""
PIECE_OPENING_UM = 1.5
"""What is narrower is a rim between cells."""
LEAST_FREE = 0.5
"""Share of a cell that must lie outside those of the other kind for it to be a cell of its own."""


BLACKEST, LEAST_BLACK = 64, 0.4
"""Grey level up to which all channels are black; share of a brown cell that must be."""


class NucleusEngine:
    """A loaded network.

    Parameters
    ----------
    description : Description
    network : Network
    settings : CellSettings
    sha256 : str
        Of the weights in use.
    """

    def __init__(
        self, description: Description, network: Network, settings: CellSettings, sha256: str
    ) -> None:
        self.network = network
        self.rule = description.reading.decoding()
        self.dab_rule = description.reading.decoding(dab=True)
        self.calibration = description.calibration
        self.settings = settings
        self.domain = description.domain
        self.model_id = description.model_id
        self.model_sha256 = sha256

    def segment(self, rgb: RGB, mpp: float, profile: StainProfile) -> Detections:
        """See `tme.cells.engines.Engine`."""
        dab = profile.dab_threshold_od is not None
        rule = self.dab_rule if dab else self.rule
        found = decode(answer(self.network, rgb), rule)
        area = np.bincount(found.labels.ravel(), minlength=len(found.peak) + 1).astype(np.float64)
        keep = right_size(area, self.settings, mpp, rule.least_um2)
        if not dab:
            return Detections(
                renumbered(found.labels, keep),
                self._probability(found, mpp)[keep[1:]],
                self.calibration.least,
                found.level,
                rule.least_um2,
            )
        nuclei = renumbered(found.labels, keep)
        density = stain_od(rgb, profile)
        brown, clumps = brown_cells(density, profile, self.settings, mpp)
        if STAINS.get(profile.stain).marker_site == "nucleus":
            whole, rest = brown_nuclei(nuclei, brown, rgb)
            labels = with_others(with_others(whole, nuclei, mpp), rest, mpp)
            by_colour, evidence = (labels > 0) & ((nuclei == 0) | (whole > 0)), None
        else:
            labels = with_others(parted_by(nuclei, gathered(nuclei, brown), mpp), nuclei, mpp)
            rest = rest_of(clumps, labels, mpp)
            labels = np.where(rest > 0, rest + labels.max(), labels)
            hidden = hides_nuclei(rest, density, profile)
            evidence = evidence_of(labels, nuclei, found.level > 0, hidden, um2_to_px(MOST_CLUSTER_UM2, mpp))
            by_colour = (brown > 0) | (rest > 0)
        # Of the border of what was cut out by its colour the network knows nothing.
        level = np.where(by_colour, np.float32(np.nan), found.level)
        return Detections(labels, level=level, least_um2=rule.least_um2, evidence=evidence)

    def _probability(self, found: Instances, mpp: float) -> NDArray[np.float32]:
        """Calibrated probability of lymphocyte per instance."""
        logit = self.calibration.logit_of(found, mpp)
        return (1 / (1 + np.exp(-np.clip(logit, -30, 30)))).astype(np.float32)


def answer(network: Network, rgb: RGB) -> NDArray[np.float32]:
    """(C, H, W) float32 of an (H, W, 3) image; sides are filled up with white to the network's stride."""
    height, width = rgb.shape[:2]
    below, right = -height % STRIDE, -width % STRIDE
    padded = np.pad(rgb, ((0, below), (0, right), (0, 0)), constant_values=GLASS)
    return network(np.ascontiguousarray(padded))[:, :height, :width]


def gathered(nuclei: Labels, brown: Labels) -> Labels:
    """Brown pieces that lie on one nucleus, as one cell with it.

    A rim of stain that is broken, around a nucleus that hardly is brown, comes in arcs, each of which would
    be a cell.

    Parameters
    ----------
    nuclei, brown : (H, W) int32
        Labels, 1..n.
    """
    holder, piece, shared = shared_pixels(nuclei, brown)
    whole = np.zeros(int(nuclei.max()) + 1, bool)
    whole[holder[shared > LEAST_SHARED * np.bincount(nuclei.ravel())[holder]]] = True
    arc = (shared > LEAST_SHARED * np.bincount(brown.ravel())[piece]) & ~whole[holder]
    holder, piece = holder[arc], piece[arc]
    if not len(piece):
        return brown
    joined = np.arange(int(brown.max()) + 1, dtype=np.int32)
    of_nucleus = np.zeros(int(nuclei.max()) + 1, np.int32)
    # The last piece on a nucleus names the cell.
    of_nucleus[holder] = piece
    joined[piece] = of_nucleus[holder]
    labels = np.where(brown > 0, joined[brown], of_nucleus[nuclei])
    present = np.bincount(labels.ravel()) > 0
    present[0] = False
    return renumbered(labels, present)


def parted_by(nuclei: Labels, brown: Labels, mpp: float) -> Labels:
    """Brown cells, those that hold several nuclei parted between them.

    Neighbours of which the brown has run together are one object by their colour; the network still sees a
    nucleus in each. A pixel goes to the nearest nucleus.

    Parameters
    ----------
    nuclei, brown : (H, W) int32
        Labels, 1..n.
    mpp : float
    """
    both = np.flatnonzero((nuclei.ravel() > 0) & (brown.ravel() > 0))
    nucleus, cell = nuclei.ravel()[both], brown.ravel()[both]
    inner, outer = mostly_within(nuclei, brown)
    number = np.bincount(outer, minlength=int(brown.max()) + 1)
    area = np.bincount(brown.ravel(), minlength=len(number))
    several = (number > 1) & (area >= um2_to_px(LEAST_PARTED_UM2, mpp))
    owner = np.zeros(int(nuclei.max()) + 1, np.int32)
    owner[inner] = outer
    chosen = several[cell] & (owner[nucleus] == cell)
    rows, columns = np.divmod(both[chosen], brown.shape[1])
    reach = um_to_px(PARTED_REACH_UM, mpp)
    nearest = nearest_within((brown.shape[0], brown.shape[1]), rows, columns, nucleus[chosen], reach)
    # What lies farther from all of them goes to one, so that no crumb becomes a cell.
    rest = np.zeros(len(number), np.int32)
    rest[outer] = inner
    own = np.where((nearest > 0) & (owner[nearest] == brown), nearest, rest[brown])
    labels = np.where(several[brown], own + brown.max(), brown)
    present = np.bincount(labels.ravel()) > 0
    present[0] = False
    return renumbered(labels, present)


def rest_of(clumps: NDArray[np.bool_], cells: Labels, mpp: float) -> Labels:
    """What is left of clumps too large for a cell, beyond the reach of the cells found in them.

    DAB may hide nuclei.

    Parameters
    ----------
    clumps : (H, W) bool
    cells : (H, W) int32
        Labels.
    mpp : float

    Returns
    -------
    (H, W) int32
        1..n, each at least as large as a cell of a cluster.
    """
    if not clumps.any():
        return np.zeros(clumps.shape, np.int32)
    left = (clumps & (around(cells, PARTED_REACH_UM, mpp) == 0)).astype(np.uint8)
    left = cv2.morphologyEx(left, cv2.MORPH_OPEN, disc(PIECE_OPENING_UM, mpp))
    _, labels, stats, _ = cv2.connectedComponentsWithStats(left, connectivity=4)
    keep = stats[:, cv2.CC_STAT_AREA] >= um2_to_px(CLUSTER_CELL_UM2, mpp)
    # What goes through the whole window is no clump of cells.
    for one, other in ((labels[0], labels[-1]), (labels[:, 0], labels[:, -1])):
        keep[np.intersect1d(one, other)] = False
    keep[0] = False
    return renumbered(labels, keep)


def with_others(first: Labels, second: Labels, mpp: float) -> Labels:
    """All of the first cells, and of the second those that lie mostly outside them.

    Parameters
    ----------
    first, second : (H, W) int32
        Labels, 1..n.
    mpp : float
    """
    free = around(first, GAP_UM, mpp) == 0
    whole = np.bincount(second.ravel())
    outside = np.bincount(second.ravel(), free.ravel(), len(whole))
    keep = outside > LEAST_FREE * whole
    keep[0] = False
    others = renumbered(np.where(free, second, 0), keep)
    return np.where(first > 0, first + others.max(), others).astype(np.int32)


def mostly_within(inner: Labels, outer: Labels) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    """Labels of which more than `LEAST_SHARED` lies in one of the other kind, and that one; by the first."""
    first, second, shared = shared_pixels(inner, outer)
    mostly = shared > LEAST_SHARED * np.bincount(inner.ravel())[first]
    return first[mostly], second[mostly]


def shared_pixels(one: Labels, other: Labels) -> tuple[Labels, Labels, NDArray[np.int64]]:
    """Every pair of labels that overlap and how many pixels they share; by the first."""
    both = np.flatnonzero((one.ravel() > 0) & (other.ravel() > 0))
    # One number for a pair: to sort rows of two is some twenty times slower.
    pairs = one.ravel()[both].astype(np.int64) * 2**32 + other.ravel()[both]
    pair, shared = np.unique(pairs, return_counts=True)
    first, second = np.divmod(pair, 2**32)
    return first.astype(np.int32), second.astype(np.int32), shared


def brown_nuclei(nuclei: Labels, brown: Labels, rgb: RGB) -> tuple[Labels, Labels]:
    """Brown objects that are a nucleus whatever the network sees in them, and those it sees none in.

    In one that is mostly black no structure is left, and the network parts it at random; one that holds a
    single nucleus of less than half its size is that nucleus.

    Parameters
    ----------
    nuclei, brown : (H, W) int32
        Labels, 1..n.
    rgb : (H, W, 3) uint8
    """
    inner, outer = mostly_within(nuclei, brown)
    area = np.maximum(np.bincount(brown.ravel()), 1)
    number = np.bincount(outer, minlength=len(area))
    covered = np.bincount(outer, np.bincount(nuclei.ravel())[inner], len(area)) / area
    black = cv2.inRange(rgb, (0, 0, 0), (BLACKEST,) * 3) > 0
    whole = np.bincount(brown.ravel(), black.ravel()) >= LEAST_BLACK * area
    whole |= (number == 1) & (covered < LEAST_FREE)
    rest = ~whole & (number == 0)
    whole[0] = rest[0] = False
    return renumbered(brown, whole), renumbered(brown, rest)


def hides_nuclei(rest: Labels, density: FloatImage, profile: StainProfile) -> NDArray[np.bool_]:
    """In which rests of clumps haematoxylin lies under DAB as it does under the slide's positive cells.

    Parameters
    ----------
    rest : (H, W) int32
        Labels, 1..n.
    density : (H, W, 2) float32
        Haematoxylin and DAB, OD.
    profile : StainProfile

    Returns
    -------
    (n,) bool
        All False where the slide does not say how much that is.
    """
    inside = rest > 0
    haematoxylin, dab = (
        np.bincount(rest[inside], density[..., k][inside], rest.max() + 1)[1:] for k in (0, 1)
    )
    usual = profile.haematoxylin_under_dab
    if usual is None:
        return np.zeros(len(dab), bool)
    return np.asarray((dab > 0) & (haematoxylin >= LEAST_HIDDEN * usual * dab))


def evidence_of(
    labels: Labels, nuclei: Labels, mask: NDArray[np.bool_], hidden: NDArray[np.bool_], most_px: float
) -> Evidence:
    """What of a nucleus each label holds.

    Parameters
    ----------
    labels, nuclei : (H, W) int32
        Labels, 1..n.
    mask : (H, W) bool
        Where there is nucleus, outlined or not.
    hidden : (m,) bool
        Of the last m labels, which are rests of clumps, whether they hide nuclei.
    most_px : float
        Area from which on a rest is no cell, as windows may cut it.
    """
    area = np.bincount(labels.ravel())
    whole = np.zeros(len(area), bool)
    whole[mostly_within(nuclei, labels)[1]] = True
    share = np.bincount(labels.ravel(), mask.ravel())[1:] / area[1:]
    cluster = np.arange(len(share)) >= len(share) - len(hidden)
    whole[1:][cluster] |= hidden
    whole[1:][cluster & (area[1:] > most_px)], share[cluster & (area[1:] > most_px)] = False, 0.0
    return Evidence(whole[1:], share, cluster)


def bundled() -> tuple[Pinned, ...]:
    """The description that comes with tme and the weights it pins; itself alone where it cannot be read."""
    own = Pinned(BUNDLED, BUNDLED_SHA256)
    try:
        files = read_description(BUNDLED).files.values()
    except (ConfigError, OSError):
        return (own,)
    return (own, *(Pinned(BUNDLED.parent / file.name, file.sha256) for file in files))


class NucleusSegmenter:
    """Registry entry of tme's own network.

    The halo is what the network sees on each side of a pixel; core and halo together are 128 strides.
    """

    name = OWN_NETWORK
    mpp = 0.5
    core_px = 1824
    halo_px = 112
    fixed_window = False
    licence = (
        "code Apache-2.0; weights: see docs/model-card.md, some of the fields learned from are CC BY-NC-SA"
    )
    needs_weights = False
    package = ""
    supply = Supply(bundled=bundled)

    def missing(self) -> str:
        """See `tme.cells.engines.Segmenter`; what it needs comes with tme."""
        return ""

    def load(self, settings: CellSettings) -> NucleusEngine:
        """See `tme.cells.engines.Segmenter`."""
        path = BUNDLED if settings.weights is None else pinned_weights(settings, {}, FETCH)[0]
        description = read_description(path)
        weights, sha256 = weights_file(description, path.parent, settings.precision)
        network, _ = open_network(weights, settings.device)
        return NucleusEngine(description, viewed(network, settings.views), settings, sha256)


FETCH = "leave cells.weights empty for the weights that come with tme, or make your own with `tme train`"

SEGMENTERS.add(OWN_NETWORK, NucleusSegmenter())
