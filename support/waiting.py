"""Wait for what another process is about to do."""

import time
import urllib.error
import urllib.request
from collections.abc import Callable

from support import SupportError

PAUSE_SECONDS = 0.05


def until(condition: Callable[[], bool], seconds: float, pause: float = PAUSE_SECONDS) -> bool:
    """Wait until ``condition()`` holds; return whether it did within so many seconds.

    It is asked again after each ``pause``, in seconds.
    """
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(pause)
    return True


def fetch(address: str, seconds: float, pause: float = PAUSE_SECONDS) -> str:
    """Return the body served at ``address``; SupportError if nothing answers in time.

    A proxy that the environment names is not for containers of this machine, and not asked.
    """
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    body, problem = "", "no attempt"

    def answers() -> bool:
        nonlocal body, problem
        try:
            with opener.open(address, timeout=5) as response:
                body = response.read().decode()
        except (urllib.error.URLError, ConnectionError) as error:
            problem = str(error)
            return False
        return True

    if until(answers, seconds, pause):
        return body
    raise SupportError(f"{address} does not answer ({problem}). Read the log of what serves it.")
