"""The one place that reaches a network, for `tme models fetch` alone: an address -> a file, or an error.

HTTPS with the machine's certificates and proxies. Plain HTTP only within this machine. No address leads on to
a file of this machine or to another scheme, and nothing here looks into what arrives.
"""

from __future__ import annotations

import ipaddress
import shutil
import socket
import urllib.error
import urllib.request
from collections.abc import Callable
from email.message import Message
from http.client import HTTPException
from pathlib import Path
from typing import IO, Any, BinaryIO
from urllib.parse import SplitResult, urlsplit

from tme import __version__
from tme.errors import ConfigError, EngineError, SpaceError
from tme.safety import printable
from tme.store import space_guard

Say = Callable[[str], None]
LARGEST_BYTES = 4_000_000_000
SECONDS = 30.0
"""Without a byte."""
BLOCK = 1 << 20
TOLD_FROM = 50_000_000
"""Bytes from which on tenths are told."""


def is_address(text: str) -> bool:
    """Whether it is an address rather than a path."""
    return "://" in text


def refuse_address(url: str) -> None:
    """Refuse an address that nothing is fetched from.

    Raises
    ------
    ConfigError
        If it is neither HTTPS nor HTTP within this machine, or names a user.
    """
    why = _why_not(url)
    if why:
        raise ConfigError(
            "nothing is fetched from this address",
            where=shown(url),
            why=why,
            fix="give an https:// address, or the path of a file",
        )


def _why_not(url: str) -> str:
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError as error:
        return str(error)
    if parts.scheme not in {"https", "http"}:
        return f"{parts.scheme} is not https"
    if not host or not url.isascii() or not url.isprintable() or " " in url:
        return "it names no host, or holds blanks or letters that must be written as %20 and the like"
    if parts.username is not None or parts.password is not None:
        return "it holds a user's name or password, which would end up in logs"
    if parts.scheme == "http" and not _within_this_machine(parts):
        return "http is neither private nor safe from changes on the way"
    return ""


def _within_this_machine(parts: SplitResult) -> bool:
    host = parts.hostname or ""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def shown(url: str) -> str:
    """An address without what may be secret: user, query, fragment; a path as it is."""
    if not is_address(url):
        return url
    scheme, _, rest = url.partition("://")
    place = rest.split("?")[0].split("#")[0]
    host, slash, path = place.partition("/")
    return f"{scheme}://{host.rpartition('@')[2]}{slash}{path}"[:300]


class _Redirects(urllib.request.HTTPRedirectHandler):
    """Follows to addresses that one may begin with, and never from elsewhere into this machine."""

    def redirect_request(
        self, req: urllib.request.Request, fp: IO[bytes], code: int, msg: str, headers: Any, newurl: str
    ) -> urllib.request.Request | None:
        why = _why_not(newurl)
        inwards = _within_this_machine(urlsplit(newurl)) if not why else False
        if not why and inwards and not _within_this_machine(urlsplit(req.full_url)):
            why = "it leads into this machine"
        if why:
            raise EngineError(
                "the address leads on to one that nothing is fetched from",
                where=shown(req.full_url),
                why=f"{shown(newurl)}: {why}",
                fix="give the address where the file is, or the path of a file",
            )
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def _opener(url: str) -> urllib.request.OpenerDirector:
    """HTTP and HTTPS alone: urllib's usual opener also opens files and FTP."""
    opener = urllib.request.OpenerDirector()
    proxies: dict[str, str] | None = {} if _within_this_machine(urlsplit(url)) else None
    for handler in (
        urllib.request.ProxyHandler(proxies),
        urllib.request.HTTPHandler(),
        urllib.request.HTTPSHandler(),
        urllib.request.HTTPDefaultErrorHandler(),
        urllib.request.HTTPErrorProcessor(),
        urllib.request.UnknownHandler(),
        _Redirects(),
    ):
        opener.add_handler(handler)
    return opener


def download(url: str, target: Path, say: Say, instead: str) -> None:
    """Fetch ``url`` into a new file.

    Parameters
    ----------
    url : str
    target : Path
        Must not exist; a part of it stays behind where this fails, for the caller to clear away.
    say : callable
        Told how far a large file is.
    instead : str
        What a user can do where there is no network.

    Raises
    ------
    ConfigError
        If it is an address that nothing is fetched from.
    EngineError
        If it cannot be reached, breaks off, or is larger than `LARGEST_BYTES`.
    SpaceError
        If it would not fit on the disk.
    """
    refuse_address(url)
    headers = {"User-Agent": f"tme/{__version__}", "Accept-Encoding": "identity"}
    request = urllib.request.Request(url, headers=headers)  # noqa: S310 - the scheme is checked above
    try:
        with _opener(url).open(request, timeout=SECONDS) as answer:
            size = _announced(answer.headers, url, target)
            # Closing writes the last bytes, and a disk may be full only then.
            with space_guard(target.parent), target.open("xb") as stream:
                _receive(answer, stream, size, url, say)
    except urllib.error.HTTPError as error:
        with error:
            raise _failed(url, f"the server answers {error.code} {error.reason}", instead) from error
    except (OSError, HTTPException, UnicodeError) as error:
        raise _failed(url, _told(getattr(error, "reason", None) or error), instead) from error


def _told(reason: object) -> str:
    if isinstance(reason, socket.gaierror):
        return "there is no network here, or no such host"
    if isinstance(reason, TimeoutError):
        return f"nothing came for {SECONDS:g} seconds"
    return f"{type(reason).__name__}: {reason}".rstrip(": ")


def _announced(headers: Message, url: str, target: Path) -> int | None:
    """How many bytes the server says it sends, if it does.

    Raises
    ------
    EngineError
        If that is too many.
    SpaceError
        If they do not fit on the disk.
    """
    text = headers.get("Content-Length", "")
    if not text.isdecimal():
        return None
    size = int(text)
    if size > LARGEST_BYTES:
        raise too_large(shown(url))
    free = shutil.disk_usage(target.parent).free
    if size > free:
        raise SpaceError(
            "the weights do not fit on the disk",
            where=str(target.parent.parent),
            why=f"they have {size / 1e6:.1f} MB, {free / 1e6:.1f} MB are free",
            fix="free space, or name another folder with --to",
        )
    return size


def _receive(answer: Any, stream: BinaryIO, size: int | None, url: str, say: Say) -> None:
    got, tenth = 0, 0
    while block := answer.read(BLOCK):
        got += len(block)
        if got > LARGEST_BYTES:
            raise too_large(shown(url))
        stream.write(block)
        if size and size >= TOLD_FROM and got * 10 // size > tenth:
            tenth = got * 10 // size
            say(f"{got / 1e6:.0f} of {size / 1e6:.0f} MB")
    if size is not None and got != size:
        raise _failed(url, f"it broke off after {got} of {size} bytes", "run the command again")


def _failed(url: str, why: str, fix: str) -> EngineError:
    why = printable(why)[:300]
    return EngineError("the weights cannot be downloaded", where=shown(url), why=why, fix=fix)


def too_large(where: str) -> EngineError:
    """What is said of a file that no weights are as large as."""
    return EngineError(
        "what is sent is too large",
        where=where,
        why=f"weights of more than {LARGEST_BYTES / 1e9:g} GB are not fetched",
        fix="check the address",
    )
