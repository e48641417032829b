"""The one exception that is meant for people, and how every failure is said in one line."""

import re

LONGEST = 2_000
"""Characters of a message: what stands in a reader's cell may be as long as a book."""


class StudyError(Exception):
    """Something a person can put right: the message is one sentence that says what to change.

    ``python -m pipeline`` prints the message without a traceback and ends with exit code 1.
    """


def one_line(text: str) -> str:
    """Return a message fit for a terminal.

    On one line, without characters that steer a terminal or turn the direction of writing, without the middle of what
    is too long, and without the user and password of an address.
    """
    text = re.sub(r"(:/{1,2})[^/@\s]+@", r"\1***@", " ".join(text.split()))
    if len(text) > LONGEST:
        text = f"{text[: LONGEST // 2]} ... {text[-LONGEST // 2 :]}"
    return "".join(each if each.isprintable() else ascii(each)[1:-1] for each in text)


def told(error: Exception | KeyboardInterrupt) -> tuple[str, int]:
    """Return what is said of an error, and the exit code: 1 for what a person can put right, 3 for a defect.

    A run that is stopped, by Ctrl-C or by the signal of ``kill``, ends with the code that shells give it.
    """
    if isinstance(error, KeyboardInterrupt):
        return "interrupted: whatever was written is whole; run it again to complete it.", 130
    if isinstance(error, StudyError):
        return one_line(str(error)), 1
    if isinstance(error, MemoryError):
        return "the memory of this machine does not suffice: give fewer loans, or close other programs.", 1
    if isinstance(error, OSError) and error.filename is not None:
        return one_line(
            f"{error.filename} cannot be read or written ({error.strerror}): correct the path, or its rights."
        ), 1
    where = one_line(f"{type(error).__name__}: {error}")
    return f"{where}: this is a defect of the program, not of the data; --debug shows where.", 3
