"""Alpine without a registry: base images with the official image's layout, and packages for them.

What is real: Alpine 3.23's files and its apk, and the /usr/local of the official python images.
What stands in: the packages of the repository, with Debian's GCC made to compile for musl.
"""

from support.images.alpine.assembly import stand_in
from support.images.alpine.server import serve

__all__ = ["serve", "stand_in"]
