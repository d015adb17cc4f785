"""The frame all pages share: head, content security policy and style, around what a room shows."""

from __future__ import annotations

from typing import Any

from markupsafe import Markup

from tme.overlay.assets import stylesheet
from tme.safety import template_environment


def render_page(package: str, template: str, **values: Any) -> str:
    """A page from a template that extends ``frame.html``.

    Parameters
    ----------
    package : str
        Dotted name of the room whose folder ``templates`` holds the template.
    template : str
    **values
        What the template names; text is escaped.
    """
    page = template_environment(package, "tme.overlay").get_template(template)
    return page.render(style=Markup(stylesheet()), **values)  # noqa: S704 - a file of this package
