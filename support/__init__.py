"""What the noxfile and the tests of Seedpod share: engine, base images, projects, demo, bench."""


class SupportError(Exception):
    """One sentence on what is wrong and one on what to do, shown without a traceback."""


class UnavailableError(SupportError):
    """A download that nobody serves today; nothing here is wrong, and another day it may be there.

    Only what downloads raises it, and only for that: tests leave out what needs the download.
    """
