"""What the noxfile and the tests of Seedpod share: engine, base images, projects, demo, bench."""


class SupportError(Exception):
    """One sentence on what is wrong and one on what to do, shown without a traceback."""
