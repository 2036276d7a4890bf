"""Find a shared library in the folders of the dynamic linker, without running a program.

extend_ctypes.py copies this module into the standard library, so it imports nothing else.
"""

import glob
import os
import re

# ld.so(8); musl has the second half of them.
FOLDERS = (
    *("/lib/*-linux-gnu*", "/usr/lib/*-linux-gnu*", "/lib64"),
    *("/lib", "/usr/local/lib", "/usr/lib"),
)
LISTS = "/etc/ld.so.conf.d/*.conf"
# musl has the library of all these names in one.
MUSL, IN_MUSL = "/lib/libc.musl-*.so.1", ("c", "crypt", "dl", "m", "pthread", "rt")


def find_library(name: str) -> str | None:
    """Return the file name of the library ``name``, like "libpq.so.5" of "pq"; None without one."""
    pattern = re.compile(rf"lib{re.escape(name)}\.so(\.\d+)*")
    for folder in folders():
        found = [x for x in os.listdir(folder) if pattern.fullmatch(x)]
        if found:
            # What a program is linked with has one number; without any it is for compilers.
            return min(found, key=lambda x: (x.endswith(".so"), len(x), x))
    musl = glob.glob(MUSL) if name in IN_MUSL else []
    return os.path.basename(musl[0]) if musl else None


def folders() -> list[str]:
    """Return the folders that exist, in the order in which the linker looks into them."""
    named = os.environ.get("LD_LIBRARY_PATH", "").split(":")
    for file in sorted(glob.glob(LISTS)):
        with open(file, encoding="utf-8", errors="surrogateescape") as lines:
            named += [line.strip() for line in lines]
    named += [folder for pattern in FOLDERS for folder in sorted(glob.glob(pattern))]
    return [folder for folder in named if folder.startswith("/") and os.path.isdir(folder)]
