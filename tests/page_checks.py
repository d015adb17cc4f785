"""What must hold for every page tme writes, whatever text goes in."""

from __future__ import annotations

from html.parser import HTMLParser

VOID = {"meta", "link", "img", "input", "br"}
PAYLOADS = (
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "'; alert(1); //",
    "</style></script><svg onload=alert(1)>",
    "{x} {{ 7 * 7 }} {% raw %}",
    "</title><b>",
    "javascript:alert(1)",
    "=1+1",
    "很" * 64,
    "a&lt;b&amp;",
    "\u2028\u202egnp.exe",
    "--><!--",
)


class _Tree(HTMLParser):
    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.tree: list[tuple[str, tuple[str, ...]]] = []
        self.open: list[str] = []
        self.attributes: list[tuple[str, str]] = []
        self.text: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tree.append((tag, tuple(name for name, _ in attrs)))
        self.attributes += [(name, value or "") for name, value in attrs]
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag
        self.tree.append((f"/{tag}", ()))

    def handle_data(self, data: str) -> None:
        self.text.append(data)


def _parsed(page: str) -> _Tree:
    parser = _Tree()
    parser.feed(page)
    parser.close()
    assert parser.open == []
    return parser


def element_tree(page: str) -> list[tuple[str, tuple[str, ...]]]:
    """Tags and the names of their attributes, in order."""
    return _parsed(page).tree


def page_text(page: str) -> str:
    """All text of a page, as a reader sees it."""
    return "".join(_parsed(page).text)


def check_page(page: str) -> None:
    """No event attributes, no remote address, a policy, and none of the word the contract forbids."""
    parsed = _parsed(page)
    names = {name for name, _ in parsed.attributes}
    assert not {name for name in names if name.startswith("on")}
    targets = [value for name, value in parsed.attributes if name in {"href", "src", "action", "data"}]
    assert not [value for value in targets if ":" in value or value.startswith("//")]
    assert "http:" not in page
    assert "https:" not in page
    assert "default-src 'none'" in page
    assert "normalis" not in page.casefold()
    assert "normaliz" not in page.casefold()
