"""The model card of a fine-tuning, in Markdown: what was learned from what, and what it is worth."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from tme.learn.compare import kinds_of, table
from tme.learn.field import Field
from tme.learn.holding import Parts
from tme.learn.teaching import Start, Taught

LIMITS = """\
- It was judged on {held} held field(s){patients}. A difference on a few hundred nuclei is a hint.
- Fields of other sites, scanners, stains or tissues may be answered worse than before: nothing of what the
  first weights were made from was there to keep what they knew. Measure them, or use those weights.
- Every limit of the weights it began from still holds; it does not diagnose.
"""


def model_card(
    name: str, start: Start, parts: Parts, taught: Taught, versions: Mapping[str, str], kept: str
) -> str:
    """The text.

    Parameters
    ----------
    name : str
    start : Start
    parts : Parts
    taught : Taught
    versions : mapping of str to str
        Package -> version.
    kept : str
        Why the weights were kept, in a sentence.
    """
    recipe = taught.recipe
    other = "" if parts.by_patient else ", of the patient it learned from: other patients are not measured"
    lines = [
        f"# {name}",
        "",
        f"`{start.description.model_id}` fine-tuned by `tme train`. {kept}",
        "",
        "## Measured",
        "",
        *(table(taught.columns) if taught.columns else []),
        "",
        *(f"- {note}" for note in taught.notes),
        "",
        "## Data",
        "",
        "| | fields | patients | nuclei | lymphocytes | other nuclei | class not known |",
        "|---|--:|--:|--:|--:|--:|--:|",
        _counts("learned from", parts.learn),
        _counts("held out", parts.held),
        "",
        *_names("Learned from", parts.learn),
        *_names("Held out", parts.held),
        "",
        "## Terms",
        "",
        f"- Weights it began from: {start.description.licence}",
        f"- They were made from: {start.description.data}",
        "- Fields learned from here: state their terms, and the consent they were taken under, yourself.",
        "",
        "## What it cannot do",
        "",
        LIMITS.format(held=len(parts.held), patients=other),
        "## How it was made",
        "",
        f"{recipe.steps} steps of {recipe.batch} crops of {recipe.side} px, rate {recipe.rate:g},"
        f" seed {recipe.seed}; "
        + ", ".join(f"{package} {version}" for package, version in versions.items())
        + ". Losses: `log.csv`.",
    ]
    return "\n".join(lines) + "\n"


def _counts(title: str, fields: Sequence[Field]) -> str:
    nuclei = sum(len(field.centres) for field in fields)
    til, other = kinds_of(fields)
    patients = len({field.patient for field in fields})
    numbers = (len(fields), patients, nuclei, til, other, nuclei - til - other)
    return f"| {title} | {' | '.join(map(str, numbers))} |"


def _names(title: str, fields: Sequence[Field]) -> list[str]:
    if not fields:
        return []
    return [f"{title}: " + ", ".join(f"`{plain_text(field.name)}`" for field in fields) + "."]


def plain_text(text: str) -> str:
    """A file's name as it may stand in Markdown code: no end of code, no line end, no control."""
    return "".join(char if char.isprintable() and char != "`" else "\ufffd" for char in text)
