"""`tme models fetch`: nothing lies in the folder but what was checked, whatever a server or a disk does."""

from __future__ import annotations

import errno
import io
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from hashlib import sha256
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import pytest

from tests.file_server import FileServer, serving
from tests.weight_files import script, stardist_network, tensors, zipped
from tme.cells.engines import cellpose, instanseg
from tme.cells.engines._weights import pinned_weights
from tme.config import load_config
from tme.errors import ConfigError, EngineError, SpaceError, TmeError
from tme.pipeline import download
from tme.pipeline.fetch import FetchRequest, run_fetch
from tme.pipeline.models import RECORD, record_of, verify_models

GOOD = tensors()
PIN = sha256(GOOD).hexdigest()


@pytest.fixture
def server() -> Iterator[FileServer]:
    with serving() as files:
        yield files


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "models"


def fetch(folder: Path, name: str, source: str | Path | None = None, pin: str | None = None) -> list[str]:
    said: list[str] = []
    assert run_fetch(FetchRequest(name, folder, source and str(source), pin), said.append) == 0
    return said


def refused(kind: type[TmeError], folder: Path, *request: str | Path | None) -> str:
    """The message; the folder must be as it was."""
    before = lying(folder)
    with pytest.raises(kind) as raised:
        fetch(folder, *request)  # type: ignore[arg-type]
    problem = raised.value.problem
    assert problem.where
    assert problem.why
    assert problem.fix
    assert lying(folder) == before
    return str(raised.value)


def lying(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()} if folder.is_dir() else {}


def publish(monkeypatch: pytest.MonkeyPatch, url: str, data: bytes, name: str = "nucleitorch_0") -> None:
    """Let cellpose's authors publish these bytes at this address."""
    old = cellpose.CellposeSegmenter.supply
    mine = replace(old.published[0], name=name, url=url, sha256=sha256(data).hexdigest())
    monkeypatch.setattr(cellpose.CellposeSegmenter, "supply", replace(old, published=(mine,)))


def test_published_weights_are_fetched_and_the_settings_told(
    server: FileServer, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    publish(monkeypatch, server.file("nucleitorch_0", GOOD), GOOD)
    said = fetch(folder, "nucleitorch_0")
    assert set(lying(folder)) == {"nucleitorch_0", "nucleitorch_0" + RECORD}
    assert (folder / "nucleitorch_0").read_bytes() == GOOD
    text = "\n".join(said)
    assert "CC BY-NC" in text
    assert f'  weights: "{folder / "nucleitorch_0"}"' in said
    assert f"  weights_sha256: {PIN}" in said
    assert "  engine: cellpose" in said
    record = record_of(folder / "nucleitorch_0")
    assert record is not None
    assert (record.engine, record.sha256, record.size_bytes) == ("cellpose", PIN, len(GOOD))
    assert record.source == server.url("nucleitorch_0")
    assert verify_models([], folder, said.append) == 0


@pytest.mark.parametrize("name", ["plain", "with blanks # and: more", 'it\'s "quoted" \\ äöü'])
def test_the_lines_it_ends_with_are_settings_a_run_takes(
    server: FileServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    publish(monkeypatch, server.file("nucleitorch_0", GOOD), GOOD)
    said = fetch(tmp_path / name, "nucleitorch_0")
    begin = said.index("cells:")
    config = tmp_path / "config.yaml"
    config.write_text("\n".join(said[begin : begin + 4]), encoding="utf-8")
    settings = load_config(config).cells
    assert settings.engine == "cellpose"
    assert pinned_weights(settings, {}, "") == (tmp_path / name / "nucleitorch_0", PIN)


def test_a_second_fetch_does_nothing(
    server: FileServer, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    publish(monkeypatch, server.file("nucleitorch_0", GOOD), GOOD)
    fetch(folder, "cellpose")
    before = {path: path.stat().st_mtime_ns for path in folder.iterdir()}
    said = fetch(folder, "cellpose")
    assert server.asked == ["/nucleitorch_0"]
    assert {path: path.stat().st_mtime_ns for path in folder.iterdir()} == before
    assert "already" in said[0]
    assert f"  weights_sha256: {PIN}" in said
    (folder / ("nucleitorch_0" + RECORD)).unlink()
    fetch(folder, "cellpose")
    assert record_of(folder / "nucleitorch_0") is not None


def test_wrong_bytes_are_never_put_in_place(
    server: FileServer, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    publish(monkeypatch, server.file("nucleitorch_0", GOOD[:-1] + b"!"), GOOD)
    message = refused(ConfigError, folder, "nucleitorch_0")
    assert "not the ones pinned" in message
    assert PIN in message


def test_a_download_that_breaks_off(
    server: FileServer, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    publish(monkeypatch, server.file("nucleitorch_0", GOOD[:100], announced=len(GOOD)), GOOD)
    message = refused(EngineError, folder, "nucleitorch_0")
    assert f"broke off after 100 of {len(GOOD)} bytes" in message
    server.file("nucleitorch_0", GOOD[:100], length=False)
    assert "not the ones pinned" in refused(ConfigError, folder, "nucleitorch_0")


def test_what_is_too_large_is_not_taken(
    server: FileServer, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(download, "LARGEST_BYTES", 1000)
    for length in (True, False):
        url = server.file("big", bytes(1001), length=length)
        assert "too large" in refused(EngineError, folder, "cellpose", url, PIN)
    fetch(folder, "cellpose", server.file("fits", GOOD), PIN)


def test_a_disk_that_is_too_small(server: FileServer, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = download.shutil.disk_usage(folder.parent)._replace(free=10)
    monkeypatch.setattr(download.shutil, "disk_usage", lambda _: usage)
    assert "do not fit" in refused(SpaceError, folder, "cellpose", server.file("w", GOOD), PIN)


@pytest.mark.parametrize(
    "to", ["file:///etc/passwd", "ftp://127.0.0.1/x", "http://192.0.2.1/x", "https://u:p@h/x"]
)
def test_an_address_that_leads_on_elsewhere(server: FileServer, folder: Path, to: str) -> None:
    message = refused(EngineError, folder, "cellpose", server.redirect("w", to), PIN)
    assert "leads on" in message or "not allowed" in message
    assert "u:p" not in message


def test_an_address_that_leads_on_to_the_file(server: FileServer, folder: Path) -> None:
    server.file("b", GOOD)
    fetch(folder, "cellpose", server.redirect("a", server.url("b")), PIN)
    assert set(lying(folder)) == {"a", "a" + RECORD}
    circle = server.redirect("c", server.url("c"))
    assert "cannot be downloaded" in refused(EngineError, folder, "cellpose", circle, PIN)


def test_an_address_elsewhere_never_leads_into_this_machine() -> None:
    redirects = download._Redirects()
    outside = download.urllib.request.Request("https://example.org/x")
    with pytest.raises(EngineError, match="leads into this machine"):
        redirects.redirect_request(outside, None, 302, "", {}, "http://127.0.0.1/x")  # type: ignore[arg-type]
    assert redirects.redirect_request(outside, None, 302, "", {}, "https://example.net/x")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "url",
    [
        "file:///etc/passwd",
        "ftp://example.org/w",
        "http://example.org/w",
        "http://127.0.0.1.example.org/w",
        "https://",
        "https:///w",
        "https://user:secret@example.org/w",
        "https://example.org/a b",
        "https://example.org/ä",
        "https://example.org:port/w",
        "https://[::1/w",
        "data://text/plain,w",
    ],
)
def test_addresses_nothing_is_fetched_from(folder: Path, url: str) -> None:
    assert "secret" not in refused(ConfigError, folder, "cellpose", url, PIN)
    assert not folder.exists()


def test_a_server_that_has_no_such_file_or_none_that_listens(server: FileServer, folder: Path) -> None:
    message = refused(EngineError, folder, "cellpose", server.url("nowhere?token=secret"), PIN)
    assert "404" in message
    assert "secret" not in message
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{unused.getsockname()[1]}/w"
        message = refused(EngineError, folder, "cellpose", url, PIN)
    assert "cannot be downloaded" in message
    assert "--from FILE" in message


def test_no_network(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def offline(*_: object, **__: object) -> None:
        raise socket.gaierror(-2, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", offline)
    for proxy in ("https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(proxy, raising=False)
    message = refused(EngineError, folder, "stardist")
    assert "no network" in message
    assert "tme models fetch python_2D_versatile_he.zip --from FILE" in message


def test_the_machines_proxy_is_asked_but_not_for_the_machine_itself(
    server: FileServer, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("no_proxy", "NO_PROXY", "HTTPS_PROXY", "HTTP_PROXY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("https_proxy", server.url(""))
    # The proxy of the test knows no tunnels.
    assert "Tunnel" in refused(EngineError, folder, "cellpose", "https://example.org/w", PIN)
    monkeypatch.setenv("http_proxy", "http://192.0.2.1:9")
    fetch(folder, "cellpose", server.file("w", GOOD), PIN)


def test_a_server_that_falls_silent(
    server: FileServer, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(download, "SECONDS", 0.2)

    def silent(request: BaseHTTPRequestHandler) -> None:
        request.send_response(200)
        request.send_header("Content-Length", "1000")
        request.end_headers()
        request.wfile.write(b"x")
        time.sleep(0.6)

    server.answers["/w"] = silent
    assert "nothing came for 0.2 seconds" in refused(EngineError, folder, "cellpose", server.url("w"), PIN)


def test_a_pickle_in_disguise_is_refused_though_its_hash_is_right(server: FileServer, folder: Path) -> None:
    harm = tensors(b"\x80\x02cposix\nsystem\n(X\x02\x00\x00\x00idtR.")
    digest = sha256(harm).hexdigest()
    message = refused(EngineError, folder, "cellpose", server.file("weights", harm), digest)
    assert "would run posix.system" in message
    for engine in ("stardist", "instanseg"):
        assert "is not weights" in refused(EngineError, folder, engine, server.url("weights"), digest)
    (folder / "weights").write_bytes(harm)
    message = refused(EngineError, folder, "cellpose", server.url("weights"), digest)
    assert "would run posix.system" in message


def test_weights_nobody_pinned_are_not_kept(server: FileServer, folder: Path) -> None:
    message = refused(EngineError, folder, "cellpose", server.file("mine", GOOD))
    assert f"--sha256 {PIN}" in message
    fetch(folder, "cellpose", server.url("mine"), PIN.upper())
    assert (folder / "mine").read_bytes() == GOOD


def test_the_network_in_an_archive_is_taken_out(
    server: FileServer, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    network = script()
    digest = sha256(network).hexdigest()
    url = server.file("brightfield_nuclei.zip", zipped({"nuclei/instanseg.pt": network, "nuclei/x": b""}))
    old = instanseg.InstansegSegmenter.supply
    mine = replace(old.published[0], url=url)
    monkeypatch.setattr(instanseg.InstansegSegmenter, "supply", replace(old, published=(mine,)))
    assert f"--sha256 {digest}" in refused(EngineError, folder, "instanseg")
    fetch(folder, "instanseg", None, digest)
    assert (folder / "brightfield_nuclei.pt").read_bytes() == network
    # What was noted pins the same file from then on.
    (folder / "brightfield_nuclei.pt").unlink()
    fetch(folder, "instanseg")
    assert verify_models(["instanseg"], folder, lambda _: None) == 0
    two = zipped({"a/instanseg.pt": network, "b/instanseg.pt": network})
    (folder / "brightfield_nuclei.pt").unlink()
    server.file("brightfield_nuclei.zip", two)
    assert "it holds 2" in refused(EngineError, folder, "instanseg")
    server.file("brightfield_nuclei.zip", b"<html>")
    assert "neither the network nor an archive" in refused(EngineError, folder, "instanseg")


def test_from_a_file(tmp_path: Path, folder: Path) -> None:
    carried = tmp_path / "stick" / "python_2D_versatile_he.zip"
    carried.parent.mkdir()
    carried.write_bytes(stardist_network())
    digest = sha256(carried.read_bytes()).hexdigest()
    # Under a published name only the published bytes are taken.
    assert "not the ones pinned" in refused(ConfigError, folder, "stardist", carried)
    assert "another sha256" in refused(ConfigError, folder, "stardist", carried, digest)
    own = carried.rename(carried.with_name("my-network.zip"))
    fetch(folder, "stardist", own, digest)
    assert (folder / own.name).read_bytes() == own.read_bytes()
    own.write_bytes(stardist_network(config__json=b'{"other": 1}'))
    assert "already" in refused(ConfigError, folder, "stardist", own)
    assert "already" in refused(ConfigError, folder, "stardist", own, sha256(own.read_bytes()).hexdigest())


def test_another_file_of_that_name_is_not_written_over(
    server: FileServer, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    publish(monkeypatch, server.file("nucleitorch_0", GOOD), GOOD)
    folder.mkdir()
    (folder / "nucleitorch_0").write_bytes(b"somebody's")
    assert "there already" in refused(ConfigError, folder, "nucleitorch_0")
    (folder / "nucleitorch_0").unlink()
    (folder / "nucleitorch_0").symlink_to(folder / "nowhere")
    with pytest.raises(ConfigError, match="there already"):
        fetch(folder, "nucleitorch_0")
    assert not server.asked


@pytest.mark.parametrize("links", [True, False])
def test_what_comes_to_the_place_meanwhile(
    server: FileServer, folder: Path, monkeypatch: pytest.MonkeyPatch, links: bool
) -> None:
    """Two fetches at once, or a user who copies by hand."""

    def answer(data: bytes) -> str:
        url = server.file("w", GOOD)
        send = server.answers["/w"]

        def meanwhile(request: BaseHTTPRequestHandler) -> None:
            (folder / "w").write_bytes(data)
            send(request)

        server.answers["/w"] = meanwhile
        return url

    def no_links(*_: object) -> None:
        raise PermissionError(1, "Operation not permitted")

    if links:
        with pytest.raises(ConfigError, match="there already"):
            fetch(folder, "cellpose", answer(b"another"), PIN)
        assert lying(folder) == {"w": b"another"}
        (folder / "w").unlink()
    else:
        monkeypatch.setattr(os, "link", no_links)
    fetch(folder, "cellpose", answer(GOOD), PIN)
    assert set(lying(folder)) == {"w", "w" + RECORD}
    assert (folder / "w").stat().st_nlink == 1


def test_a_disk_that_is_full_only_as_the_last_bytes_are_written(
    server: FileServer, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Full(io.BytesIO):
        def close(self) -> None:
            super().close()
            raise OSError(errno.ENOSPC, "No space left on device")

    real = Path.open
    monkeypatch.setattr(
        Path, "open", lambda self, mode="r", *rest: Full() if mode == "xb" else real(self, mode, *rest)
    )
    assert "no space left" in refused(SpaceError, folder, "cellpose", server.file("w", GOOD), PIN)


def test_a_folder_that_cannot_be_written(
    server: FileServer, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder.mkdir()
    url = server.file("w", GOOD)
    with monkeypatch.context() as closed:
        closed.setattr(os, "access", lambda *_: False)
        assert "cannot be made or written" in refused(ConfigError, folder, "cellpose", url, PIN)
    assert not server.asked
    # Weights that somebody else has put there are found all the same.
    fetch(folder, "cellpose", url, PIN)
    (folder / ("w" + RECORD)).unlink()
    monkeypatch.setattr("tme.pipeline.fetch.write_json", lambda *_: os.mkdir("/proc/x"))
    said = fetch(folder, "cellpose", url, PIN)
    assert any("cannot be noted" in line for line in said)
    assert f"  weights_sha256: {PIN}" in said


def test_a_folder_that_is_a_file(server: FileServer, tmp_path: Path) -> None:
    (tmp_path / "models").write_bytes(b"")
    for folder in (tmp_path / "models", tmp_path / "models" / "below"):
        with pytest.raises(ConfigError, match="cannot be made or written"):
            fetch(folder, "cellpose", server.file("w", GOOD), PIN)
    assert not server.asked


@pytest.mark.parametrize(
    ("request_", "said"),
    [
        (("nucleitorch",), "did you mean nucleitorch_0"),
        (("quite-unknown",), "there are no weights"),
        (("cellpose",), "cpsam_v2"),
        (("cellpose", None, "abc"), "no sha256"),
        (("cellpose", "/nowhere/w"), "there is none"),
        (("cellpose", "/"), "no file"),
        (("cellpose", "https://example.org/"), "cannot name"),
        (("cellpose", "https://example.org/..%2F..%2Fw%0A"), "cannot name"),
        (("cellpose", "x" * 5000), "there are no weights to take"),
        (("tmenet", "/nowhere/w"), "tme train"),
        (("watershed", "/nowhere/w"), "no weights are fetched"),
    ],
)
def test_requests_that_cannot_be_met(folder: Path, request_: tuple[str | None, ...], said: str) -> None:
    assert said in refused(ConfigError, folder, *request_)
    assert not folder.exists()


def test_an_error_is_a_line_and_an_exit_code(folder: Path) -> None:
    command = [sys.executable, "-m", "tme", "models", "fetch", "nucleitorch", "--to", str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stdout == ""
    (line,) = done.stderr.splitlines()
    assert line.startswith("tme: nucleitorch · there are no weights of this name · ")


@pytest.mark.parametrize("name", ["tmenet", "watershed"])
def test_engines_that_need_nothing(folder: Path, name: str) -> None:
    assert "nothing to fetch" in fetch(folder, name)[0]
    assert not folder.exists()


def usual_signals() -> None:
    """As in a terminal, whatever the tests were started under."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGHUP, signal.SIG_DFL)


@pytest.mark.parametrize(
    ("kind", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)]
)
def test_nothing_half_written_stays_when_it_is_ended(
    server: FileServer, folder: Path, kind: signal.Signals, code: int
) -> None:
    def slow(request: BaseHTTPRequestHandler) -> None:
        request.send_response(200)
        request.send_header("Content-Length", "100000000")
        request.end_headers()
        for _ in range(600):
            request.wfile.write(bytes(1000))
            time.sleep(0.05)

    server.answers["/w"] = slow
    command = [sys.executable, "-m", "tme", "models", "fetch", "cellpose", "--from", server.url("w")]
    with subprocess.Popen(
        [*command, "--sha256", PIN, "--to", str(folder)],
        stderr=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        text=True,
        preexec_fn=usual_signals,
    ) as process:
        end = time.monotonic() + 60
        while not list(folder.glob(".tme-fetch-*/arrived")) and time.monotonic() < end:
            time.sleep(0.05)
        assert list(folder.glob(".tme-fetch-*/arrived"))
        process.send_signal(kind)
        assert process.wait(30) == code
        assert process.stderr is not None
        assert "Traceback" not in process.stderr.read()
    assert list(folder.iterdir()) == []
