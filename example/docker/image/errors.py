"""One kind of error for all that a user can cause while an image is built."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager


class BuildError(Exception):
    """One sentence on what is wrong, and one on what to do."""

    # What the sentences are about; docker/host/causes.py finds them in a build's output by it.
    subject = ""


@contextmanager
def ended_by_errors() -> Iterator[None]:
    """End the program with the message of a BuildError, and without a traceback."""
    try:
        yield
    except BuildError as error:
        sys.exit(f"{error.subject}: {error}" if error.subject else str(error))
