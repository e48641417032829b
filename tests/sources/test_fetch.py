"""The fetcher, against a real server on loopback."""

import contextlib
import errno
import hashlib
import io
import os
import re
import shutil
import socket
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from pipeline.runtime.errors import StudyError
from pipeline.sources import fetch as module
from pipeline.sources.fetch import CHUNK, fetch, mirror_from_environment
from pipeline.sources.records import SourceFile, load_source

CONTENT = bytes(range(256)) * 1200  # longer than the fetcher's chunks
HALF = len(CONTENT) // 2
NO_WAIT = (0, 0, 0, 0)
SOURCE = load_source("lendingclub")


class Server(ThreadingHTTPServer):
    """Serves CONTENT; `plan` says how the next requests are treated, and `ranges` what was asked."""

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.content = CONTENT
        self.plan: list[str] = []
        self.ranges: list[str | None] = []
        self.sent_everything = False
        self.encodings: list[str | None] = []
        self.carry_on = threading.Event()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/loans.rda"


class Handler(BaseHTTPRequestHandler):
    """Answers as a web server does, or as `plan` says."""

    server: Server

    def do_GET(self):
        asked = self.headers.get("Range")
        self.server.ranges.append(asked)
        self.server.encodings.append(self.headers.get("Accept-Encoding"))
        step = self.server.plan.pop(0) if self.server.plan else "serve"
        content = self.server.content
        start = int(asked.removeprefix("bytes=").rstrip("-")) if asked and step != "whole" else 0
        if step.isdecimal():
            return self.answer(int(step), b"sorry")
        if step == "endless":
            return self.send_far_too_much()
        if step.startswith("redirect to "):
            return self.answer(302, b"", {"Location": step.removeprefix("redirect to ")})
        if step == "trickle":
            return self.trickle(content)
        if start and start >= len(content):
            return self.answer(416, b"")
        if step == "other range":
            return self.answer(206, content, {"Content-Range": f"bytes 0-{len(content) - 1}/{len(content)}"})
        if start:
            fields = {"Content-Range": f"bytes {start}-{len(content) - 1}/{len(content)}"}
            return self.answer(206, content[start:], fields)
        if step == "stall":
            self.answer(200, content, cut=HALF)
            self.wfile.flush()
            return self.server.carry_on.wait(60)
        return self.answer(200, content, cut=HALF if step == "drop" else None)

    def answer(self, status, body, fields=(), cut=None):
        self.send_response(status)
        for name, value in dict(fields).items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body[:cut])

    def send_far_too_much(self):
        self.send_response(200)
        self.end_headers()
        with contextlib.suppress(ConnectionError):
            for _ in range(200):
                self.wfile.write(CONTENT)
            self.server.sent_everything = True

    def trickle(self, content):
        self.send_response(200)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        with contextlib.suppress(ConnectionError):
            for place in range(len(content)):
                self.wfile.write(content[place : place + 1])
                if self.server.carry_on.wait(0.02):
                    break

    def log_message(self, *_):
        pass


@pytest.fixture
def server(monkeypatch):
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with Server() as running:
        thread = threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield running
        running.shutdown()
        thread.join()


def record(url, content=CONTENT, **change) -> SourceFile:
    """Record `content`; unvalidated, because real records take https only."""
    fields = {
        "name": "loans.rda",
        "url": url,
        "sha256": hashlib.sha256(content).hexdigest(),
        "git_blob": hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest(),
        "bytes": len(content),
        "rows": None,
    }
    return SourceFile.model_construct(**{**fields, **change})


def place(folder: Path) -> Path:
    return folder / "lendingclub" / "loans.rda"


def names(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir()]


def left_by_an_earlier_try(folder: Path, content: bytes) -> Path:
    part = place(folder).with_name("loans.rda.part")
    part.parent.mkdir(parents=True)
    part.write_bytes(content)
    return part


def test_downloads_under_the_final_name_and_nothing_else(server, tmp_path, capsys):
    path = fetch(SOURCE, record(server.url), tmp_path, None, delays=NO_WAIT)
    assert path == place(tmp_path)
    assert path.read_bytes() == CONTENT
    assert names(path.parent) == ["loans.rda"]
    assert server.encodings == ["identity"]
    assert capsys.readouterr().err == "Fetching loans.rda from 127.0.0.1\n"


def test_what_is_there_and_right_is_not_fetched(server, tmp_path):
    place(tmp_path).parent.mkdir()
    place(tmp_path).write_bytes(CONTENT)
    # Not even the mirror is looked at.
    assert fetch(SOURCE, record(server.url), tmp_path, tmp_path / "absent") == place(tmp_path)
    assert server.ranges == []


def test_what_is_there_and_wrong_is_replaced(server, tmp_path):
    place(tmp_path).parent.mkdir()
    place(tmp_path).write_bytes(b"wrong")
    fetch(SOURCE, record(server.url), tmp_path, None, delays=NO_WAIT)
    assert place(tmp_path).read_bytes() == CONTENT


def test_a_git_blob_id_is_enough(server, tmp_path):
    file = record(server.url, sha256=None, bytes=None)
    assert fetch(SOURCE, file, tmp_path, None).read_bytes() == CONTENT
    wrong = record(server.url, name="other.rda", sha256=None, bytes=None, git_blob="0" * 40)
    with pytest.raises(StudyError, match=f"git blob id {file.git_blob} where {'0' * 40}"):
        fetch(SOURCE, wrong, tmp_path, None, delays=NO_WAIT)


def test_a_git_blob_id_is_the_one_git_gives(tmp_path):
    (tmp_path / "hello").write_bytes(b"hello\n")
    # As `echo hello | git hash-object --stdin` prints.
    assert module._checksum(tmp_path / "hello", "git blob id") == "ce013625030ba8dba906f756967f9e9ca394464a"


def test_a_dropped_connection_is_resumed_where_it_broke(server, tmp_path):
    server.plan = ["drop"]
    assert fetch(SOURCE, record(server.url), tmp_path, None, delays=NO_WAIT).read_bytes() == CONTENT
    assert len(server.ranges) == 2
    assert server.ranges[0] is None
    begun = int(server.ranges[1].removeprefix("bytes=").rstrip("-"))
    assert 0 < begun <= HALF


@pytest.mark.parametrize("step", ["500", "503", "429"])
def test_a_busy_server_is_asked_again(server, tmp_path, step):
    server.plan = [step, step]
    assert fetch(SOURCE, record(server.url), tmp_path, None, delays=NO_WAIT).read_bytes() == CONTENT
    assert len(server.ranges) == 3


def test_the_delays_are_waited(server, tmp_path, monkeypatch):
    waited = []
    monkeypatch.setattr(module.time, "sleep", waited.append)
    server.plan = ["500"] * 9
    with pytest.raises(StudyError, match="answered 500"):
        fetch(SOURCE, record(server.url), tmp_path, None)
    assert waited == [0, 1, 2, 4, 8]
    assert len(server.ranges) == 5


def test_a_missing_page_is_not_asked_again(server, tmp_path):
    server.plan = ["404"] * 5
    with pytest.raises(StudyError) as caught:
        fetch(SOURCE, record(server.url), tmp_path, None, delays=NO_WAIT)
    assert len(server.ranges) == 1
    assert_says_what_to_do(caught.value, server.url, tmp_path)
    assert "404" in str(caught.value)
    assert not place(tmp_path).exists()


def test_a_wrong_file_never_takes_the_name(server, tmp_path):
    server.content = CONTENT[:-1] + b"!"
    with pytest.raises(StudyError) as caught:
        fetch(SOURCE, record(server.url), tmp_path, None, delays=NO_WAIT)
    message = str(caught.value)
    assert hashlib.sha256(server.content).hexdigest() in message
    assert_says_what_to_do(caught.value, server.url, tmp_path)
    assert names(place(tmp_path).parent) == []


def test_a_killed_download_is_resumed(server, tmp_path):
    """The process dies while the server is silent in the middle of the file; the next run asks for the rest."""
    server.plan = ["stall"]
    code = (
        "import sys; from tests.sources.test_fetch import SOURCE, record, fetch, Path\n"
        "fetch(SOURCE, record(sys.argv[1]), Path(sys.argv[2]), None)"
    )
    root = Path(__file__).parents[2]
    fetching = subprocess.Popen([sys.executable, "-c", code, server.url, tmp_path], cwd=root, stderr=subprocess.DEVNULL)
    part = place(tmp_path).with_name("loans.rda.part")
    while not (part.exists() and part.stat().st_size >= CHUNK):
        assert fetching.poll() is None
        time.sleep(0.01)
    fetching.kill()
    fetching.wait()
    server.carry_on.set()
    left = part.stat().st_size
    assert 0 < left <= HALF and not place(tmp_path).exists()
    assert fetch(SOURCE, record(server.url), tmp_path, None, delays=NO_WAIT).read_bytes() == CONTENT
    assert server.ranges == [None, f"bytes={left}-"]
    assert names(place(tmp_path).parent) == ["loans.rda"]


def test_resumes_what_an_earlier_run_left(server, tmp_path):
    left_by_an_earlier_try(tmp_path, CONTENT[:HALF])
    assert fetch(SOURCE, record(server.url), tmp_path, None, delays=NO_WAIT).read_bytes() == CONTENT
    assert server.ranges == [f"bytes={HALF}-"]
    assert names(place(tmp_path).parent) == ["loans.rda"]


def test_a_complete_part_needs_no_request(server, tmp_path):
    left_by_an_earlier_try(tmp_path, CONTENT)
    assert fetch(SOURCE, record(server.url), tmp_path, None).read_bytes() == CONTENT
    assert server.ranges == []


@pytest.mark.parametrize("step", ["whole", "416", "other range"])
def test_starts_again_when_the_server_does_not_resume(server, tmp_path, step):
    left_by_an_earlier_try(tmp_path, CONTENT[:HALF])
    server.plan = [step]
    assert fetch(SOURCE, record(server.url), tmp_path, None, delays=NO_WAIT).read_bytes() == CONTENT
    assert server.ranges == [f"bytes={HALF}-", None][: 1 if step == "whole" else 2]


@pytest.mark.parametrize("left", [b"x" * HALF, b"x" * len(CONTENT), b"x" * (len(CONTENT) + 7)])
@pytest.mark.parametrize("size", [len(CONTENT), None])
def test_a_part_that_does_not_fit_is_thrown_away(server, tmp_path, left, size):
    left_by_an_earlier_try(tmp_path, left)
    file = record(server.url, bytes=size)
    assert fetch(SOURCE, file, tmp_path, None, delays=NO_WAIT).read_bytes() == CONTENT


def test_stops_when_more_comes_than_recorded(server, tmp_path):
    server.plan = ["endless"]
    with pytest.raises(StudyError, match=f"more than {len(CONTENT):,} bytes") as caught:
        fetch(SOURCE, record(server.url), tmp_path, None, delays=NO_WAIT)
    assert not server.sent_everything
    assert_says_what_to_do(caught.value, server.url, tmp_path)
    assert names(place(tmp_path).parent) == []


def test_a_file_of_unknown_size_has_a_ceiling(server, tmp_path, monkeypatch):
    monkeypatch.setattr(module, "LARGEST", HALF)
    with pytest.raises(StudyError, match=f"more than {HALF:,} bytes"):
        fetch(SOURCE, record(server.url, bytes=None), tmp_path, None, delays=NO_WAIT)


def test_no_network_says_everything_needed(tmp_path):
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{closed.getsockname()[1]}/loans.rda"
        with pytest.raises(StudyError, match="no connection") as caught:
            fetch(SOURCE, record(url), tmp_path, None, delays=NO_WAIT)
    assert_says_what_to_do(caught.value, url, tmp_path)


def test_a_silent_server_is_not_waited_for_forever(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "TIMEOUT", (0.05, 0.05))
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        url = f"http://127.0.0.1:{silent.getsockname()[1]}/loans.rda"
        with pytest.raises(StudyError, match="no answer in time"):
            fetch(SOURCE, record(url), tmp_path, None, delays=(0,))


def test_a_server_that_trickles_is_not_waited_for_forever(server, tmp_path, monkeypatch):
    monkeypatch.setattr(module, "PATIENCE", 0.2)
    server.plan = ["trickle"]
    try:
        with pytest.raises(StudyError, match="fewer than 512 bytes a second") as caught:
            fetch(SOURCE, record(server.url), tmp_path, None, delays=())
    finally:
        server.carry_on.set()
    assert_says_what_to_do(caught.value, server.url, tmp_path)


def test_a_page_to_sign_in_is_said_to_be_one(server, tmp_path):
    server.content = b"\n<!DOCTYPE html><title>Sign in</title>"
    with pytest.raises(StudyError, match="sends a web page, such as one to sign in, not the file") as caught:
        fetch(SOURCE, record(server.url), tmp_path, None, delays=NO_WAIT)
    assert_says_what_to_do(caught.value, server.url, tmp_path)
    assert names(place(tmp_path).parent) == []


@pytest.mark.parametrize(
    "where", ["http://example.invalid/loans.rda", "file:///etc/passwd", "http://[::bad", "ftp://["]
)
def test_never_leaves_https(server, tmp_path, where):
    server.plan = [f"redirect to {where}"]
    said = rf"{re.escape(server.url)} sends on to {re.escape(where)}, which is not an https address"
    with pytest.raises(StudyError, match=said) as caught:
        fetch(SOURCE, record(server.url), tmp_path, None, delays=NO_WAIT)
    assert_says_what_to_do(caught.value, server.url, tmp_path)
    assert len(server.ranges) == 1


def test_a_record_of_another_kind_of_address_is_to_be_corrected(tmp_path):
    with pytest.raises(StudyError, match="is not an https address"):
        fetch(SOURCE, record("http://example.invalid/loans.rda"), tmp_path, None, delays=NO_WAIT)


def test_a_full_disk_leaves_nothing(server, tmp_path, monkeypatch):
    part = left_by_an_earlier_try(tmp_path, CONTENT[:HALF])
    real_open = Path.open

    class Full(io.BytesIO):
        def write(self, _):
            raise OSError(errno.ENOSPC, "No space left on device")

    def open_(path, mode="r", *rest, **options):
        return Full() if path == part and mode == "ab" else real_open(path, mode, *rest, **options)

    monkeypatch.setattr(Path, "open", open_)
    with pytest.raises(StudyError, match=r"disk is full.*make room"):
        fetch(SOURCE, record(server.url), tmp_path, None, delays=NO_WAIT)
    assert names(part.parent) == []


def test_a_disk_that_fills_while_copying_leaves_nothing(tmp_path, monkeypatch):
    mirror = tmp_path / "mirror"
    place(mirror).parent.mkdir(parents=True)
    place(mirror).write_bytes(CONTENT)

    def copyfile(_, to):
        Path(to).write_bytes(CONTENT[:HALF])
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(shutil, "copyfile", copyfile)
    with pytest.raises(StudyError, match="disk is full"):
        fetch(SOURCE, record("https://example.invalid/"), tmp_path / "data", mirror)
    assert names(place(tmp_path / "data").parent) == []


@pytest.mark.parametrize("depth", [0, 1])
def test_a_read_only_folder(server, tmp_path, depth):
    folder = tmp_path / "data"
    locked = [folder, folder / "lendingclub"][depth]
    locked.mkdir(parents=True)
    locked.chmod(0o500)
    try:
        if os.access(locked, os.W_OK):
            pytest.skip("this user may write anywhere")
        with pytest.raises(StudyError, match=r"data/lendingclub.*cannot be .*written.*change its rights"):
            fetch(SOURCE, record(server.url), folder, None, delays=NO_WAIT)
    finally:
        locked.chmod(0o700)


def test_a_file_where_the_folder_should_be(server, tmp_path):
    (tmp_path / "lendingclub").write_text("in the way")
    with pytest.raises(StudyError, match="cannot be read or written"):
        fetch(SOURCE, record(server.url), tmp_path, None, delays=NO_WAIT)


def test_the_mirror_is_looked_in_first(server, tmp_path, capsys):
    mirror, folder = tmp_path / "mirror", tmp_path / "data"
    place(mirror).parent.mkdir(parents=True)
    place(mirror).write_bytes(CONTENT)
    assert fetch(SOURCE, record(server.url), folder, mirror).read_bytes() == CONTENT
    assert server.ranges == []
    assert names(place(folder).parent) == ["loans.rda"]
    assert place(mirror).read_bytes() == CONTENT
    assert capsys.readouterr().err == ""


def test_what_the_mirror_lacks_is_downloaded(server, tmp_path):
    (tmp_path / "mirror").mkdir()
    path = fetch(SOURCE, record(server.url), tmp_path / "data", tmp_path / "mirror", delays=NO_WAIT)
    assert path.read_bytes() == CONTENT
    assert len(server.ranges) == 1


@pytest.mark.parametrize("content", [b"wrong", CONTENT + b"more"])
def test_a_wrong_file_in_the_mirror_is_named(server, tmp_path, content):
    mirror, folder = tmp_path / "mirror", tmp_path / "data"
    place(mirror).parent.mkdir(parents=True)
    place(mirror).write_bytes(content)
    with pytest.raises(StudyError) as caught:
        fetch(SOURCE, record(server.url), folder, mirror, delays=NO_WAIT)
    assert str(place(mirror)) in str(caught.value)
    assert server.ranges == []
    assert names(place(folder).parent) == []


def test_a_mirror_that_is_not_there(tmp_path):
    with pytest.raises(StudyError, match=r"absent is not a folder: correct or unset CRM_DATA_MIRROR"):
        fetch(SOURCE, record("https://example.invalid/"), tmp_path, tmp_path / "absent")


def test_the_mirror_is_named_by_the_environment(monkeypatch):
    monkeypatch.delenv("CRM_DATA_MIRROR", raising=False)
    assert mirror_from_environment() is None
    monkeypatch.setenv("CRM_DATA_MIRROR", " ")
    assert mirror_from_environment() is None
    monkeypatch.setenv("CRM_DATA_MIRROR", "~/mirror")
    assert mirror_from_environment() == Path.home() / "mirror"


def test_fetches_at_the_same_time_take_turns(server, tmp_path):
    pytest.importorskip("fcntl")
    file = record(server.url)
    with ThreadPoolExecutor(8) as pool:
        runs = [pool.submit(fetch, SOURCE, file, tmp_path, None, delays=NO_WAIT) for _ in range(8)]
    assert {run.result() for run in runs} == {place(tmp_path)}
    assert place(tmp_path).read_bytes() == CONTENT
    assert len(server.ranges) == 1
    assert names(place(tmp_path).parent) == ["loans.rda"]


def assert_says_what_to_do(error: StudyError, url: str, folder: Path) -> None:
    message = str(error)
    assert "\n" not in message
    assert message.endswith(".")
    for part in (
        "loans.rda",
        url,
        hashlib.sha256(CONTENT).hexdigest(),
        str(folder / "lendingclub"),
        "CRM_DATA_MIRROR",
        "lendingclub/loans.rda",
    ):
        assert part in message
