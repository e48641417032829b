"""The one fetcher: a public file, verified, under its final name, or one sentence that says what to do."""

from __future__ import annotations

import errno
import hashlib
import os
import shutil
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urljoin, urlsplit

from pipeline.runtime.errors import StudyError
from pipeline.sources.records import Source, SourceFile

if TYPE_CHECKING:
    import requests

MIRROR_VARIABLE = "CRM_DATA_MIRROR"
DELAYS = (1.0, 2.0, 4.0, 8.0)  # seconds before the second, third, ... try
TIMEOUT = (10.0, 60.0)  # seconds to connect, and between two arrivals of data
LARGEST = 2 * 1024**3  # bytes; for files whose size is not on record
CHUNK = 64 * 1024  # bytes
SLOWEST = 512  # bytes a second, over any stretch of PATIENCE
PATIENCE = 120.0  # seconds


class _TryAgain(Exception):
    """The server could not answer now."""


def mirror_from_environment() -> Path | None:
    """Return the folder named by the variable CRM_DATA_MIRROR, or None if it is unset or empty."""
    value = os.environ.get(MIRROR_VARIABLE, "").strip()
    try:
        return Path(value).expanduser() if value else None
    except RuntimeError as error:
        raise StudyError(
            f"{MIRROR_VARIABLE} is {value}, and there is no such user: write the path without ~."
        ) from error


def fetch(
    source: Source,
    file: SourceFile,
    folder: Path,
    mirror: Path | None,
    *,
    delays: Sequence[float] = DELAYS,
) -> Path:
    """Put one file of a source in its place, unless it is there already, and return its path.

    The content comes from the mirror if that has the file, and otherwise from the recorded address. It is
    verified before it takes its name, so nothing half-written or wrong is ever found under that name. What
    an interrupted download leaves (`NAME.part`) is resumed by the next one. Fetches into the same folder
    wait for each other.

    Parameters
    ----------
    source, file
        The record, and one of its files.
    folder
        The data folder; the file goes to `folder / source.folder / file.name`.
    mirror
        A folder with the same layout that is looked in first, or None.
    delays
        Seconds to wait before each further try; as many tries as delays, and one.

    Raises
    ------
    StudyError
        If the file cannot be had, is not the recorded one, or cannot be written.

    """
    target = Path(folder) / source.folder / file.name
    part = target.with_name(f"{target.name}.part")
    try:
        if is_right(target, file):
            return target
        if mirror is not None and not Path(mirror).is_dir():
            raise StudyError(f"The mirror {mirror} is not a folder: correct or unset {MIRROR_VARIABLE}.")
        copy = None if mirror is None else Path(mirror) / source.folder / file.name
        target.parent.mkdir(parents=True, exist_ok=True)
        with _only_fetch_into(target.parent):
            if is_right(target, file):  # fetched by another process in the meantime
                return target
            if copy is not None and copy.is_file():
                _copy(copy, file, part)
            else:
                _download(source, file, part, delays)
            part.replace(target)
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            part.unlink(missing_ok=True)
            raise StudyError(
                f"The disk is full, so {target} was not written and its partial file was removed: "
                "make room and run again."
            ) from error
        where = error.filename or target.parent
        raise StudyError(
            f"{where} cannot be read or written ({error.strerror or error}): change its rights "
            "or choose another folder."
        ) from error
    return target


def _checksum(path: Path, algorithm: str) -> str:
    with path.open("rb") as handle:
        if algorithm == "sha256":
            return hashlib.file_digest(handle, "sha256").hexdigest()
        header = b"blob %d\0" % os.fstat(handle.fileno()).st_size
        return hashlib.file_digest(handle, lambda: hashlib.sha1(header, usedforsecurity=False)).hexdigest()


def _difference(path: Path, file: SourceFile) -> str | None:
    """Say how the file at `path` differs from the recorded one; None if it is that file."""
    if path.stat().st_size > (file.bytes or LARGEST):
        return f"has more than {file.bytes or LARGEST:,} bytes"
    algorithm, expected = file.checksum
    found = _checksum(path, algorithm)
    return None if found == expected else f"has the {algorithm} {found} where {expected} is expected"


def is_right(path: Path, file: SourceFile) -> bool:
    """Say whether the file at `path` is there and is the recorded one."""
    return path.is_file() and _difference(path, file) is None


@contextmanager
def _only_fetch_into(folder: Path) -> Iterator[None]:
    """Hold a lock on the folder itself, which leaves no lock file behind."""
    try:
        import fcntl
    except ImportError:  # no such locks on Windows: two fetches at once are then the user's to avoid
        yield
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            print(f"Waiting for another fetch into {folder}", file=sys.stderr)
            fcntl.flock(handle, fcntl.LOCK_EX)
        except OSError:  # some network file systems have no such locks either
            pass
        yield
    finally:
        os.close(handle)


def _copy(copy: Path, file: SourceFile, part: Path) -> None:
    shutil.copyfile(copy, part)
    difference = _difference(part, file)
    if difference:
        part.unlink()
        raise StudyError(f"The mirror's file {copy} {difference}: replace or remove it.")


def _download(source: Source, file: SourceFile, part: Path, delays: Sequence[float]) -> None:
    """Leave the verified content of `file.url` in `part`, or raise a StudyError."""
    import requests
    from urllib3.exceptions import HTTPError, ReadTimeoutError

    algorithm, expected = file.checksum
    otherwise = (
        f"put a copy of {file.name} whose {algorithm} is {expected} in {part.parent}, "
        f"or set {MIRROR_VARIABLE} to a folder that holds {source.folder}/{file.name}"
    )
    _require_https(file.url)
    if not sys.stderr.isatty():
        print(f"Fetching {file.name} from {urlsplit(file.url).hostname}", file=sys.stderr)
    trouble = ""
    with requests.Session() as session:
        # A compressed answer would have other bytes, and ranges of other bytes.
        session.headers["Accept-Encoding"] = "identity"
        session.hooks["response"].append(_check_redirect)
        for delay in (0.0, *delays):
            time.sleep(delay)
            if is_right(part, file):  # complete, but interrupted before it was renamed
                return
            begun = _size(part) > 0
            try:
                _receive(session, file, part)
            except requests.Timeout:
                trouble = "no answer in time"
            except ReadTimeoutError:
                trouble = "no more data in time"
            except HTTPError:
                trouble = "the connection broke off"
            except requests.ConnectionError:
                trouble = "no connection"
            except _TryAgain as error:
                trouble = str(error)
            except requests.RequestException as error:
                raise StudyError(f"{file.url} cannot be fetched ({error}): {otherwise}.") from error
            except _Refused as error:
                raise StudyError(f"{file.url} {error}: {otherwise}.") from error
            else:
                difference = _difference(part, file)
                if difference is None:
                    return
                page = _is_page(part) and not file.name.endswith((".html", ".htm"))
                part.unlink()
                if page:
                    raise StudyError(f"{file.url} sends a web page, such as one to sign in, not the file: {otherwise}.")
                if not begun:
                    raise StudyError(f"What {file.url} sends {difference}: run again, or {otherwise}.")
                trouble = "what an earlier try had left did not fit"
    raise StudyError(
        f"{file.name} could not be fetched from {file.url} ({trouble}): check the network and run again, "
        f"or {otherwise}."
    )


def _is_page(path: Path) -> bool:
    """Say whether a file begins as web pages do."""
    with path.open("rb") as handle:
        return (
            handle.read(CHUNK).removeprefix(b"\xef\xbb\xbf").lstrip()[:9].lower().startswith((b"<!doctype", b"<html"))
        )


class _Refused(Exception):
    """The server will not give the file, however often it is asked."""


def _receive(session: requests.Session, file: SourceFile, part: Path) -> None:
    """Make one request and write what it brings, after what `part` already holds if the server agrees."""
    from tqdm import tqdm

    start = _size(part)
    headers = {"Range": f"bytes={start}-"} if start else {}
    with session.get(file.url, headers=headers, stream=True, timeout=TIMEOUT) as response:
        status = f"answered {response.status_code} {response.reason}"
        resumed = response.status_code == 206
        if response.status_code == 416:  # `part` is as long as the whole file, or longer
            part.unlink(missing_ok=True)
            raise _TryAgain(f"the server {status}")
        if response.status_code == 429 or response.status_code >= 500:
            raise _TryAgain(f"the server {status}")
        if response.status_code not in (200, 206):
            raise _Refused(status)
        start = start if resumed else 0
        with (
            part.open("ab" if resumed else "wb") as handle,
            tqdm(desc=file.name, initial=start, total=file.bytes, unit="B", unit_scale=True, disable=None) as bar,
        ):
            began, since = time.monotonic(), start
            # What has arrived by now, however little: a full chunk of a server that trickles may take hours.
            for chunk in iter(lambda: response.raw.read1(CHUNK, decode_content=True), b""):
                handle.write(chunk)
                bar.update(len(chunk))
                start += len(chunk)
                if (passed := time.monotonic() - began) > PATIENCE:
                    if start - since < SLOWEST * passed:
                        raise _TryAgain(f"fewer than {SLOWEST} bytes a second")
                    began, since = time.monotonic(), start
                if start > (file.bytes or LARGEST):
                    break


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def _require_https(url: str) -> None:
    if not _may_be_asked(url):
        raise StudyError(f"{url} is not an https address: correct the source record.")


def _may_be_asked(url: str) -> bool:
    """Say whether an address is one of https, or of this machine."""
    try:
        parts = urlsplit(url)
        return parts.scheme == "https" or (
            parts.scheme == "http" and parts.hostname in ("127.0.0.1", "::1", "localhost")
        )
    except ValueError:
        return False


def _check_redirect(response: requests.Response, **_: Any) -> None:
    if response.is_redirect:
        where = response.headers["Location"]
        with suppress(ValueError):  # what is no address at all is not one of https either
            where = urljoin(response.url, where)
        if not _may_be_asked(where):
            raise _Refused(f"sends on to {where}, which is not an https address")
