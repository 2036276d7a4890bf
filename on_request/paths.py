"""Follow links in the root file system of an image, and read texts there."""

import posixpath
import re

from root_files import Root

RELEASE = ("/etc/os-release", "/usr/lib/os-release")
# As Linux follows them (path_resolution(7)).
MOST_LINKS = 40


def real(root: Root, path: str) -> str:
    """Return a path without links; as it is where they lead nowhere."""
    left, found = path.strip("/").split("/"), "/"
    for _ in range(MOST_LINKS):
        while left:
            found = posixpath.normpath(posixpath.join(found, left.pop(0)))
            entry = root.entries.get(found)
            if entry and entry.issym():
                target = posixpath.join(posixpath.dirname(found), entry.linkname)
                left = [*target.strip("/").split("/"), *left]
                found = "/"
                break
        else:
            return found
    return path


def text(root: Root, path: str) -> str:
    """Return the text of a file, links followed; empty without it."""
    path = real(root, path)
    return root.read(path).decode(errors="replace") if root.file(path) else ""


def release(root: Root) -> dict[str, str]:
    """Return the fields of os-release(5); none without such a file."""
    for path in RELEASE:
        if content := text(root, path):
            fields = re.findall(r"^([A-Z_]+)=(.*)$", content, flags=re.MULTILINE)
            return {name: value.strip().strip("\"'") for name, value in fields}
    return {}
