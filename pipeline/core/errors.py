"""The one exception that is meant for people."""


class StudyError(Exception):
    """Something a person can put right: the message is one sentence that says what to change.

    ``python -m pipeline`` prints the message without a traceback and ends with exit code 1.
    """
