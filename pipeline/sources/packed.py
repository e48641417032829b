"""Packed files (.gz, .zip) of a reader's tables, unpacked once into a folder that is never committed."""

from __future__ import annotations

import contextlib
import gzip
import io
import os
import re
import shutil
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from pipeline.runtime.errors import StudyError
from pipeline.sources.tables import KINDS, SAMPLE_BYTES

PACKED = (".gz", ".zip")
UNPACKED = 16 << 30
"""Bytes that a file may unpack to ..."""
PACKED_TIGHTLY = 100
"""... and how many times its own size, beyond `SAMPLE_BYTES`: loans as text grow five to thirty times."""
NO_TABLE = re.compile(r"(?:^|[/\\])(?:\.[^/\\]*$|__MACOSX[/\\])")
"""Members of archives that programs add for themselves."""


def packed_in(folder: Path) -> list[Path]:
    """Return the packed files of a folder."""
    return [file for file in sorted(folder.iterdir()) if file.suffix.lower() in PACKED and file.is_file()]


def unpacked(path: Path, beside: Path) -> Path:
    """Return where the tables of packed files stand unpacked: a file, or a folder of several; other paths as they are.

    Parameters
    ----------
    path
        A packed file, a folder of packed files and no others that are read, or any other place.
    beside
        The folder in which they are unpacked, into one of their own. What is newer than its packed files stays.

    Raises
    ------
    StudyError
        When a file is damaged, has a password, holds no table or several of one name, or would fill the disk.

    """
    # Names too long for a path are neither, and are told of elsewhere.
    files = [path] if path.suffix.lower() in PACKED and os.path.isfile(path) else []  # noqa: PTH113
    if os.path.isdir(path) and not any(file.suffix.lower() in KINDS for file in path.iterdir()):  # noqa: PTH112
        files = packed_in(path)
    if not files:
        return path
    made = beside / path.resolve().name
    if not made.is_dir() or made.stat().st_mtime < max(file.stat().st_mtime for file in files):
        part = made.with_name(f".{made.name}.part")
        for old in (part, made):
            shutil.rmtree(old, ignore_errors=True)
        part.mkdir(parents=True)
        try:
            for file in files:
                _unpack(file, part)
            part.rename(made)
        except (OSError, EOFError, zlib.error, zipfile.BadZipFile, NotImplementedError) as error:
            raise StudyError(f"{file} cannot be unpacked ({error}): unpack it, and give what it holds.") from error
        finally:
            shutil.rmtree(part, ignore_errors=True)
            with contextlib.suppress(OSError):
                # Nothing is left of what could not be unpacked; folders that hold something stay.
                beside.rmdir()
                beside.parent.rmdir()
    tables = sorted(made.iterdir())
    return tables[0] if len(tables) == 1 else made


def _unpack(file: Path, folder: Path) -> None:
    """Write each table of a packed file into a folder; a StudyError when they are larger than tables of loans are."""
    left = min(UNPACKED, SAMPLE_BYTES + PACKED_TIGHTLY * file.stat().st_size, shutil.disk_usage(folder).free // 2)
    tables = 0
    for name, content in _tables(file):
        tables += 1
        # A name is never a path: what stands before its last stroke is no folder here.
        target = folder / re.split(r"[/\\]", name)[-1]
        if target.exists():
            raise StudyError(f"{file}: there is another table {target.name}: unpack it, and name them differently.")
        with target.open("xb") as written:
            # What an archive says of sizes is not believed.
            while block := content.read(SAMPLE_BYTES):
                left -= len(block)
                if left < 0:
                    raise StudyError(f"{file} unpacks to more than tables of loans do: unpack it, and give the tables.")
                written.write(block)
    if not tables:
        raise StudyError(f"{file} holds no table: the name of one ends in {', '.join(KINDS)}.")


def _tables(file: Path) -> Iterator[tuple[str, IO[bytes] | io.BufferedIOBase]]:
    """Give the name and the content of each table in a packed file."""
    if file.suffix.lower() == ".gz":
        if Path(file.stem).suffix.lower() in KINDS:
            with gzip.open(file) as whole:
                yield file.stem, whole
        return
    with zipfile.ZipFile(file) as archive:
        for member in archive.infolist():
            name = _name(member)
            if Path(name).suffix.lower() not in KINDS or NO_TABLE.search(name):
                continue
            if member.flag_bits & 1:
                raise StudyError(f"{file} has a password: unpack it, and give what it holds.")
            with archive.open(member) as content:
                yield name, content


def _name(member: zipfile.ZipInfo) -> str:
    """Return a member's name: Windows in Chinese writes it in GBK and does not say so."""
    if member.flag_bits & 0x800 or member.filename.isascii():
        return member.filename
    try:
        return member.filename.encode("cp437").decode("gbk")
    except UnicodeError:
        return member.filename
