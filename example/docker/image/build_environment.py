"""What lets a build make the same wheel again: for compilers, and for whatever writes dates."""

import os

from set_dates import EPOCH

# https://reproducible-builds.org/specs/source-date-epoch
DATE = {"SOURCE_DATE_EPOCH": str(EPOCH)}
# What compilers write for debuggers names folders, which have another name each time. Flags of
# compilers would take the place of -O2 in a build by autoconf; there are none for linking.
FLAGS = {"LDFLAGS": "-Wl,--strip-debug"}


def environment() -> dict[str, str]:
    """Return this process's variables, with those for a build where they have no value."""
    return {**DATE, **FLAGS, **os.environ}
