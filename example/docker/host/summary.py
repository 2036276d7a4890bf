"""Say in five lines what a build has made: its image, sizes, what a push sends, and the time."""

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from figures import show_size
from layers import Image, measure
from session import SessionError


@contextmanager
def shown(name: str) -> Iterator[None]:
    """Print five lines after the build of the image with this name, if it does not fail.

    The change is that to what had the name before. A push sends the layers that it lacks.
    """
    before = None
    with suppress(SessionError):
        [before] = measure(name)
    started = time.monotonic()
    yield
    seconds = time.monotonic() - started
    try:
        [image] = measure(name)
    except SessionError as error:
        # The image is there.
        print(error, file=sys.stderr)
        return
    rows = {
        "image": name,
        "size": show_size(image.size),
        "packed": show_size(image.compressed),
        "change": change(image, before),
        "seconds": f"{seconds:.1f}",
    }
    print(*(f"{title:<7}  {text}" for title, text in rows.items()), sep="\n", flush=True)


def change(image: Image, before: Image | None) -> str:
    """Return by how many bytes an image grew, and what a push sends where the other one is.

    That is the layers; some kB of the configuration and the manifest come with every push.
    """
    if before is None:
        return "there was none before"
    known = [layer.digest for layer in before.layers]
    if known == [layer.digest for layer in image.layers]:
        return "none"
    sent = sum(layer.compressed for layer in image.layers if layer.digest not in known)
    grown = image.size - before.size
    return f"{'+' if grown > 0 else ''}{show_size(grown)}; a push sends {show_size(sent)} of layers"
