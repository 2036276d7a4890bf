"""The bake file of a catalogue: a target for each image, and groups of them.

Its format: https://docs.docker.com/build/bake/reference/.
"""

import json
from collections.abc import Mapping
from typing import Any

ROLES = ("base", "builder")
# The arguments of the Dockerfile with the packages of its stages.
ARGUMENTS = {
    "COMMON": "common",
    "COMMON_BUILDER": "common-builder",
    "BASE": "base",
    "BUILDER": "builder",
}


def tag(pair: Mapping[str, Any], role: str) -> str:
    """Return the tag of an image."""
    return f"{pair['name']}-builder" if role == "builder" else str(pair["name"])


def target(pair: Mapping[str, Any], role: str) -> str:
    """Return the name of an image's target, which has no dots."""
    return tag(pair, role).replace(".", "-")


def labels(pair: Mapping[str, Any], role: str) -> dict[str, str]:
    """Return what an image says of itself: nothing that each run changes.

    https://github.com/opencontainers/image-spec/blob/main/annotations.md
    """
    name, _, digest = str(pair["image"]).partition("@")
    found = {"title": tag(pair, role), "base.name": name, "base.digest": digest}
    return {f"org.opencontainers.image.{key}": text for key, text in found.items() if text}


def content(catalogue: Mapping[str, Any]) -> dict[str, Any]:
    """Return the bake file of a catalogue that docker/image/read_catalogue.py has read."""
    targets, groups = {}, dict[str, list[str]]()
    for pair in catalogue["pairs"]:
        lists = {
            argument: json.dumps(pair["stages"][stage], sort_keys=True)
            for argument, stage in ARGUMENTS.items()
        }
        for role in ROLES:
            name = target(pair, role)
            targets[name] = {
                "context": ".",
                "target": role,
                "args": {"NAME": pair["name"], "PYTHON_IMAGE": pair["image"], **lists},
                "tags": [f"{catalogue['repository']}:{tag(pair, role)}"],
                "labels": labels(pair, role),
            }
            for group in ("default", pair["release"], pair["variant"]):
                groups.setdefault(group, []).append(name)
    return {
        "group": {name: {"targets": members} for name, members in groups.items()},
        "target": targets,
    }


def text(catalogue: Mapping[str, Any]) -> str:
    """Return the text of the bake file."""
    return f"{json.dumps(content(catalogue), indent=2)}\n"
