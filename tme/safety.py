"""Text and files from outside, made harmless. Each guard exists here once.

A cell of a sheet, a file name or slide metadata never becomes a path, a shell word, markup, a
spreadsheet formula or code. See ``docs/security.md`` for what is defended and what is not.
"""

from __future__ import annotations

import hashlib
import json
import re
import unicodedata
from functools import cache
from pathlib import Path
from typing import Any

import jinja2
import yaml
from defusedxml import ElementTree as SafeElementTree
from markupsafe import Markup

from tme.errors import ConfigError, SlideError

SAFE_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}")
FORMULA_START = ("=", "+", "-", "@", "\t", "\r", "＝", "＋", "－", "＠")
MAX_YAML_BYTES = 1_000_000
MAX_XML_BYTES = 16_000_000


def is_safe_id(text: str) -> bool:
    """Whether ``text`` may be used verbatim as a folder's name."""
    return SAFE_ID.fullmatch(text) is not None


def slug(text: str, fallback: str = "x") -> str:
    """A safe id made from any text: ASCII letters, digits, ``_`` and ``-``, at most 64 characters.

    Text that loses characters on the way gets a short hash of the original, so that two different
    texts do not fall together.
    """
    folded = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode()
    kept = re.sub(r"[^A-Za-z0-9_-]+", "-", folded).strip("-_")
    kept = re.sub(r"^[^A-Za-z0-9]+", "", kept)[:52]
    if kept == text and kept:
        return kept
    mark = hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:6]
    return f"{kept or fallback}-{mark}"


def comparison_key(text: str) -> str:
    """What two look-alike ids have in common: NFKC, case folded, stripped of blanks and controls."""
    folded = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", text).casefold())
    return "".join(c for c in folded if unicodedata.category(c) not in {"Cf", "Cc"}).strip()


def error_text(error: BaseException) -> str:
    """What an error says, on one line and without the folders of this machine: it may enter a table."""
    text = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    return re.sub(r"(?<!\w)/\S*/", "", " ".join(text.split()))[:160]


def printable(text: str) -> str:
    """Text from outside that a terminal shows and does not obey: blanks for control characters."""
    return "".join(char if char.isprintable() else " " for char in text)


def csv_text(text: str) -> str:
    """Text for a CSV cell that no spreadsheet will run; undone by `csv_text_back`.

    A leading apostrophe is put before text that starts like a formula (also after blanks) and
    before text that already starts with an apostrophe, so that the way back is exact.
    """
    bare = text.lstrip(" \u00a0\u200b\ufeff\n")
    if bare.startswith(FORMULA_START) or text.startswith("'"):
        return "'" + text
    return text


def csv_text_back(text: str) -> str:
    """Undo `csv_text`."""
    return text[1:] if text.startswith("'") else text


@cache
def template_environment(*packages: str) -> jinja2.Environment:
    """Jinja with autoescape always on and undefined names an error; filter ``script_json``.

    Templates are looked for in the folder ``templates`` of each package in turn. One environment serves a
    process, as a run writes a page for every slide and compiling takes longer than filling in.
    """
    environment = jinja2.Environment(
        loader=jinja2.ChoiceLoader([jinja2.PackageLoader(package) for package in packages]),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["script_json"] = script_json
    return environment


def script_json(value: Any) -> Markup:
    """JSON that may stand inside ``<script>``: no ``<``, ``>``, ``&`` or line separators survive."""
    text = json.dumps(value, sort_keys=True, allow_nan=False, ensure_ascii=True)
    for char in "<>&":
        text = text.replace(char, f"\\u{ord(char):04x}")
    return Markup(text)  # noqa: S704 - every character that could end the script is escaped above


def parse_xml(text: str | bytes, where: str) -> Any:
    """Parse XML from a slide without entities, DTDs or external references.

    Raises
    ------
    SlideError
        If the text is too long, not XML, or uses what is refused.
    """
    from defusedxml import DefusedXmlException

    if len(text) > MAX_XML_BYTES:
        raise SlideError(
            f"the XML description is over {MAX_XML_BYTES} bytes",
            where=where,
            why="no slide needs that much, and it can exhaust memory",
            fix="export the slide again",
        )
    try:
        return SafeElementTree.fromstring(text, forbid_dtd=True)
    except (SafeElementTree.ParseError, DefusedXmlException, ValueError) as error:
        raise SlideError(
            "the XML description is not acceptable",
            where=where,
            why=f"{type(error).__name__}: {error}"[:200],
            fix="export the slide again",
        ) from error


class _StrictLoader(yaml.SafeLoader):
    """SafeLoader that refuses a key given twice."""


def _no_duplicates(loader: yaml.SafeLoader, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
    seen = set()
    for key_node, _ in node.value:
        if not isinstance(key_node, yaml.ScalarNode):
            raise yaml.constructor.ConstructorError(
                None, None, "a key is a list or a set of keys", key_node.start_mark
            )
        key = loader.construct_object(key_node, deep=deep)
        if key in seen:
            raise yaml.constructor.ConstructorError(
                None, None, f"key {key!r} is given twice", key_node.start_mark
            )
        seen.add(key)
    return loader.construct_mapping(node, deep)


_StrictLoader.add_constructor(
    yaml.resolver.BaseResolver.DEFAULT_MAPPING_TAG,
    lambda loader, node: _no_duplicates(loader, node, deep=True),  # type: ignore[arg-type]
)


def load_yaml(path: Path) -> Any:
    """Read YAML as plain data: no objects, no anchors, no key twice, UTF-8, at most 1 MB."""
    if path.stat().st_size > MAX_YAML_BYTES:
        raise ConfigError(
            f"the file is over {MAX_YAML_BYTES} bytes", where=path.name, fix="a configuration is a few kB"
        )
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise ConfigError(
            "the file is not UTF-8 text",
            where=path.name,
            why=str(error)[:200],
            fix="save it as UTF-8 in a text editor",
        ) from error
    if any(isinstance(event, yaml.AliasEvent) for event in yaml.parse(text, Loader=yaml.SafeLoader)):
        raise ConfigError("YAML aliases are not accepted", where=path.name, fix="write the value out")
    return yaml.load(text, Loader=_StrictLoader)  # noqa: S506 - derived from SafeLoader


def verify_sha256(path: Path, expected: str) -> None:
    """Check a weights file against its pinned hash before anything reads it.

    Raises
    ------
    ConfigError
        If the file differs; the message gives both hashes.
    """
    digest = file_sha256(path)
    if digest != expected:
        raise ConfigError(
            "the weights are not the ones pinned",
            where=path.name,
            why=f"sha256 {digest[:16]}… instead of {expected[:16]}…",
            fix="fetch the file again from where it was published",
        )


def file_sha256(path: Path, chunk: int = 1 << 22) -> str:
    """sha256 of a file's bytes, hexadecimal."""
    digest = hashlib.sha256()
    with path.open("rb") as stream:
        while block := stream.read(chunk):
            digest.update(block)
    return digest.hexdigest()
