"""What a file leaves open: questions with the option that answers each."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Sequence
from typing import Any

from pipeline.runtime.errors import StudyError

ANSWERS: dict[str, Callable[[str], Any]] = {
    "default": str,
    "role": shlex.split,
    "default_when": shlex.split,
    "treated_when": shlex.split,
    "default_at_least": float,
    "decimal": shlex.split,
    "times": shlex.split,
    "currency": str,
    "term_in": str,
    "rate_in": str,
    "day_first": str,
    "encoding": str,
}
"""Options that answer questions, and how an answer that is typed becomes the option's value."""


class Question(StudyError):
    """What cannot be read for certain: without a terminal a stop, with the option to set."""

    def __init__(self, sentence: str, option: str, asked: str = "", others: Sequence[str] = ()) -> None:
        """Take the sentence, the option (as in `ANSWERS`), and what a terminal shows before the answer.

        `others` are values of the outcome that mean repaid when the answer does not name them.
        """
        super().__init__(sentence)
        assert option in ANSWERS
        self.option, self.others = option, list(others)
        self.asked = asked or f"--{option.replace('_', '-')}"

    def answered(self, text: str) -> Any:
        """Return the option's value; a StudyError when the answer is none."""
        try:
            return ANSWERS[self.option](text.strip())
        except ValueError as error:
            raise StudyError(
                f"'{text.strip()}' is no answer to {self.asked} ({error}): run the command again."
            ) from error
