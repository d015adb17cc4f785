"""Text and files from outside do no harm."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from tme.errors import ConfigError, SlideError
from tme.safety import (
    comparison_key,
    csv_text,
    csv_text_back,
    is_safe_id,
    load_yaml,
    parse_xml,
    script_json,
    slug,
    verify_sha256,
)

HOSTILE = [
    "x;touch P",
    "../evil",
    "<script>",
    "=1+1",
    "{x}",
    "病" * 64,
    "",
    "a/b",
    "CON",
    "\x00",
    "-rf",
    "ß" * 130,
]


@pytest.mark.parametrize("text", HOSTILE)
def test_a_slug_is_safe_whatever_the_text(text: str) -> None:
    assert is_safe_id(slug(text))


@given(st.text(max_size=80), st.text(max_size=80))
def test_slugs_are_safe_and_do_not_fall_together(one: str, two: str) -> None:
    assert is_safe_id(slug(one))
    if one != two:
        assert slug(one) != slug(two)


@given(st.text(max_size=60))
def test_csv_text_comes_back_and_never_starts_a_formula(text: str) -> None:
    written = csv_text(text)
    assert csv_text_back(written) == text
    assert not written.startswith(("=", "+", "-", "@", "\t", "\r"))


def test_look_alikes_have_one_key() -> None:
    assert comparison_key("P01 ") == comparison_key("\uff3001\u200b") == comparison_key("p01")
    assert comparison_key("007") != comparison_key("7")


@given(st.recursive(st.text() | st.integers() | st.booleans(), lambda inner: st.lists(inner, max_size=3)))
def test_script_json_cannot_end_the_script(value: object) -> None:
    text = str(script_json(value))
    assert not set("<>&\u2028\u2029") & set(text)


@pytest.mark.parametrize(
    "xml",
    [
        '<!DOCTYPE a [<!ENTITY b "c">]><a>&b;</a>',
        '<!DOCTYPE a SYSTEM "file:///etc/passwd"><a/>',
        "<a>",
        "",
    ],
)
def test_xml_with_entities_or_faults_is_refused(xml: str) -> None:
    with pytest.raises(SlideError, match=r"slide\.tif"):
        parse_xml(xml, "slide.tif")


def test_plain_xml_is_read() -> None:
    assert parse_xml("<a b='1'/>", "slide.tif").attrib == {"b": "1"}


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("a: !!python/object/apply:os.system ['true']\n", yaml.YAMLError),
        ("a: 1\na: 2\n", yaml.YAMLError),
        ("a: &x 1\nb: *x\n", ConfigError),
        ("x" * 1_000_001, ConfigError),
    ],
)
def test_yaml_tricks_are_refused(tmp_path: Path, text: str, kind: type[Exception]) -> None:
    path = tmp_path / "c.yaml"
    path.write_text(text)
    with pytest.raises(kind):
        load_yaml(path)


def test_weights_must_be_the_pinned_ones(tmp_path: Path) -> None:
    path = tmp_path / "w.bin"
    path.write_bytes(b"abc")
    verify_sha256(path, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad")
    path.write_bytes(b"abd")
    with pytest.raises(ConfigError, match="not the ones pinned"):
        verify_sha256(path, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad")
