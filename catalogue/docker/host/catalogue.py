"""Build, check and push the images of catalogue.toml, and print those for a project.

    python docker/host/catalogue.py bake [TARGET …] [OPTION …]   build images
    python docker/host/catalogue.py check [TARGET …]             look into images, and measure them
    python docker/host/catalogue.py push [TARGET …] [OPTION …]   all that, push, write digests.toml
    python docker/host/catalogue.py use [NAME]                   print the lines of a project's .env

A TARGET is an image, a base or a variant; without one all images are meant. OPTIONS are those of
docker buildx bake, whose file is build/docker-bake.json.
"""

import hashlib
import json
import os
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from difflib import get_close_matches
from itertools import takewhile
from pathlib import Path
from typing import Any

import bake_file
import client
import progress
import settings
from figures import parse_size, print_table, show_size
from layers import measure
from push import builds_in_engine
from session import SessionError, docker, ended_by_errors, only_docker, read_text, write_text

CATALOGUE, DIGESTS = Path("catalogue.toml"), Path("digests.toml")
BAKE_FILE = Path("build/docker-bake.json")
IMAGE = Path(__file__).parent.parent / "image"
# As a strict cluster would; what is compiled in the check is loaded from there.
HARDENED = (
    *("--rm", "--network=none", "--read-only", "--tmpfs=/tmp:exec", "--cap-drop=ALL"),
    *("--security-opt=no-new-privileges", "--user=65532:65532"),
)

Image = tuple[dict[str, Any], str]


def load() -> dict[str, Any]:
    """Return the catalogue; ends the program if it cannot be read."""
    command = [sys.executable, str(IMAGE / "read_catalogue.py"), str(CATALOGUE)]
    done = subprocess.run(command, stdout=subprocess.PIPE, encoding="utf-8", check=False)
    if done.returncode:
        sys.exit(done.returncode)
    catalogue: dict[str, Any] = json.loads(done.stdout)
    for pair in catalogue["pairs"]:
        for size in pair["sizes"].values():
            parse_size(size, f"[variants.{pair['variant']}.size] in {CATALOGUE}")
    return catalogue


def images(catalogue: Mapping[str, Any], *targets: str) -> dict[str, Image]:
    """Return pairs and roles by the names of their targets; SessionError for an unknown target."""
    known = {
        bake_file.target(pair, role): (pair, role)
        for pair in catalogue["pairs"]
        for role in bake_file.ROLES
    }
    groups = bake_file.content(catalogue)["group"]
    found: dict[str, Image] = {}
    for target in targets or ["default"]:
        if target not in known and target not in groups:
            near = get_close_matches(target, [*known, *groups], n=1)
            hint = f"Close to it is {near[0]}." if near else f"It makes {', '.join(groups)}."
            raise SessionError(f"{CATALOGUE} makes no {target}. {hint}")
        members = groups[target]["targets"] if target in groups else [target]
        found |= {name: known[name] for name in members}
    return found


def bake_command(catalogue: Mapping[str, Any], *arguments: str) -> list[str]:
    """Write the bake file, and return the command that builds targets.

    Settings of this machine are not in the file. Raises OSError if it cannot be written.
    """
    write_text(BAKE_FILE, bake_file.text(catalogue))
    own = ["--set=*.secrets=id=pip.env,env=PIP_ENV"]
    if file := settings.certificates():
        own.append(f"--set=*.secrets=id=ca.pem,src={file}")
        # It is outside of the build context, which bake allows only if asked, since buildx 0.19:
        # https://docs.docker.com/build/building/variables/#buildx_bake_entitlements_fs.
        os.environ.setdefault("BUILDX_BAKE_ENTITLEMENTS_FS", "0")
    # Bake takes their values from the environment, where the client puts those that Docker has.
    own += [f"--set=*.args.{x}" for name in settings.PROXIES for x in (name, name.lower())]
    return ["docker", "buildx", "bake", f"--file={BAKE_FILE}", *own, *arguments]


def bake(*arguments: str) -> None:
    """Build images, into this engine; an image whose build fails keeps its tag."""
    catalogue, (targets, _) = load(), split(arguments)
    images(catalogue, *targets)
    load_option = () if builds_in_engine() else ("--load",)
    run_bake(bake_command(catalogue, *load_option, *arguments))


def run_bake(command: Sequence[str]) -> None:
    """Run it, and show its log or how far it is; ends the program if it fails."""
    with progress.following("bake", command) as shown:
        client.run(command, progress=shown)


def split(arguments: Sequence[str]) -> tuple[list[str], list[str]]:
    """Return targets, which come first, and options of docker buildx bake."""
    targets = [*takewhile(lambda argument: not argument.startswith("-"), arguments)]
    return targets, [*arguments[len(targets) :]]


def check(*targets: str) -> None:
    """Print what is wrong with images, and their sizes; ends the program with 1 if anything is."""
    catalogue = load()
    chosen = images(catalogue, *targets)
    names = [f"{catalogue['repository']}:{bake_file.tag(*image)}" for image in chosen.values()]
    missing = [name for name in names if not docker("images", "--quiet", name).strip()]
    if missing:
        raise SessionError(f"{missing[0]} is not built. Run nox -s bake")
    rows, wrong = [["image", "size", "compressed", "budget", "verdict"]], list[str]()
    measured = measure(*names)
    for name, image, (pair, role) in zip(names, measured, chosen.values(), strict=True):
        found = [*inspect(name, pair, role, catalogue["forbidden"])]
        budget = pair["sizes"].get(role)
        if budget and image.size > parse_size(budget, str(CATALOGUE)):
            found.append(f"it has {show_size(image.size)}, and its budget is {budget}")
        tag = bake_file.tag(pair, role)
        figures = (show_size(image.size), show_size(image.compressed), budget or "-")
        rows.append([tag, *figures, "WRONG" if found else "ok"])
        wrong += [f"{tag}: {finding}." for finding in found]
    print_table(rows)
    if wrong:
        sys.exit("\n".join(["", *wrong, f"Correct {CATALOGUE}, then run nox -s bake check"]))


def inspect(name: str, pair: Mapping[str, Any], role: str, forbidden: list[str]) -> Iterator[str]:
    """Yield what is wrong in an image; raises SessionError if it cannot be run."""
    expected = {
        **{key: pair[key] for key in ("release", "python")},
        **pair["check"],
        "forbidden": forbidden,
    }
    program = (IMAGE / "inspect_image.py").read_text(encoding="utf-8")
    command = ("--entrypoint=python3", name, "-c", program, role, json.dumps(expected))
    yield from json.loads(docker("run", *HARDENED, *command).splitlines()[-1])


def push(*arguments: str) -> None:
    """Build, check and push pairs whose content differs from what was pushed before.

    Ends the program if any of it fails; digests.toml is as it was then.
    """
    catalogue, (targets, options) = load(), split(arguments)
    kept = digests()
    if kept["repository"] != catalogue["repository"]:
        kept = {"repository": catalogue["repository"], "images": {}}
    chosen = images(catalogue, *targets)
    names = {pair["name"] for pair, _ in chosen.values()}
    # A pair is always whole: one of today and one of last week may not fit each other.
    chosen = {x: image for x, image in images(catalogue).items() if image[0]["name"] in names}
    bake(*chosen, *options)
    check(*chosen)
    repository, contents = catalogue["repository"], dict[str, str]()
    for pair, role in chosen.values():
        tag = bake_file.tag(pair, role)
        contents[tag] = content(f"{repository}:{tag}")
    new = {
        target: image
        for target, image in chosen.items()
        if kept["images"].get(tag := bake_file.tag(*image), {}).get("content") != contents[tag]
    }
    pushed = push_images(catalogue, new, contents) if new else {}
    keep(catalogue, kept["images"], {tag: (contents[tag], pushed[tag]) for tag in pushed})


def content(name: str) -> str:
    """Return a digest of the files of an image and of its settings; raises SessionError."""
    program = (IMAGE / "inspect_image.py").read_text(encoding="utf-8")
    # Only root may read all of them.
    options = ("--rm", "--network=none", "--read-only", "--user=0", "--entrypoint=python3")
    files = docker("run", *options, name, "-c", program, "content")
    config = json.loads(docker("image", "inspect", name))[0]["Config"]
    # Some engines write what an image does not have, and the image that a build made of it.
    config = {key: value for key, value in config.items() if value and key != "Image"}
    text = files.splitlines()[-1] + json.dumps(config, sort_keys=True)
    return f"sha256:{hashlib.sha256(text.encode()).hexdigest()}"


def push_images(
    catalogue: Mapping[str, Any], chosen: Mapping[str, Image], contents: Mapping[str, str]
) -> dict[str, str]:
    """Push images and return their digests by tag; ends the program if that fails.

    Each has a second tag that never moves: a registry may remove what has none.
    """
    options = []
    for target, image in chosen.items():
        tag = bake_file.tag(*image)
        for name in (tag, fixed(tag, contents[tag])):
            options.append(f"--set={target}.tags={catalogue['repository']}:{name}")
    with tempfile.TemporaryDirectory() as folder:
        metadata = Path(folder, "metadata.json")
        options += ["--push", f"--metadata-file={metadata}"]
        run_bake(bake_command(catalogue, *options, *chosen))
        found = json.loads(read_text(metadata))
    digests = {
        bake_file.tag(*image): found.get(target, {}).get("containerimage.digest", "")
        for target, image in chosen.items()
    }
    for name, digest in digests.items():
        if not digest:
            raise SessionError(f"{name} was pushed without a digest. Update Docker's buildx.")
    return digests


def fixed(tag: str, content: str) -> str:
    """Return the tag of an image that stays with its content."""
    return f"{tag}-{content.partition(':')[2][:12]}"


def keep(
    catalogue: Mapping[str, Any],
    before: Mapping[str, Mapping[str, str]],
    pushed: Mapping[str, tuple[str, str]],
) -> None:
    """Write digests.toml if anything was pushed, or is no longer made; raises OSError.

    In: what it had, and of what was pushed now the content and the digest, by tag.
    """
    entries = {
        **before,
        **{tag: {"content": text, "digest": digest} for tag, (text, digest) in pushed.items()},
    }
    made = [bake_file.tag(pair, role) for pair in catalogue["pairs"] for role in bake_file.ROLES]
    lines = [
        '# Written by "nox -s push". "nox -s use" prints what a project names in its .env.',
        f'repository = "{catalogue["repository"]}"',
    ]
    for tag in sorted(made):
        if tag in entries:
            lines += ["", f'[images."{tag}"]']
            lines += [f'{name} = "{value}"' for name, value in sorted(entries[tag].items())]
    text = "".join(f"{line}\n" for line in lines)
    if DIGESTS.exists() and read_text(DIGESTS) == text:
        print(f"No image differs from what was pushed: {DIGESTS} is as it was.")
        return
    write_text(DIGESTS, text)
    for tag in sorted(pushed):
        print(f"{tag} is new: {pushed[tag][1]}")
    print(f"{DIGESTS} has changed. Commit it.")


def digests() -> dict[str, Any]:
    """Return the content of digests.toml, without it no images; raises SessionError."""
    if not DIGESTS.exists():
        return {"repository": "", "images": {}}
    try:
        found = {"images": {}, **tomllib.loads(read_text(DIGESTS))}
        for text in (found["repository"], *(x["digest"] for x in found["images"].values())):
            if not isinstance(text, str):
                raise ValueError(f"{text!r} is no text")
    except (AttributeError, LookupError, TypeError, ValueError) as error:
        raise SessionError(f"{DIGESTS} cannot be read ({error}). Restore it from Git.") from error
    return found


def use(*arguments: str) -> None:
    """Print the settings of a project for a pair of images; without a name, which pairs exist."""
    found = digests()
    pushed = found["images"]
    names = sorted(name for name in pushed if f"{name}-builder" in pushed)
    if not names:
        raise SessionError("Nothing has been pushed yet. Run nox -s push")
    if not arguments:
        print("\n".join(names))
        return
    name = arguments[0]
    if len(arguments) > 1 or name not in names:
        near = get_close_matches(name, names, n=1, cutoff=0.0)[0]
        raise SessionError(f"{DIGESTS} has no {' '.join(arguments)}. Run nox -s use -- {near}")
    for variable, tag in (("PYTHON_IMAGE", name), ("BUILDER_IMAGE", f"{name}-builder")):
        entry = pushed[tag]
        image = f"{found['repository']}:{fixed(tag, entry.get('content', ''))}"
        print(f"{variable}={image}@{entry['digest']}")


def main() -> None:
    """Run the command that the arguments name."""
    commands = {"bake": bake, "check": check, "push": push, "use": use}
    if sys.argv[1:2] == [] or sys.argv[1] not in commands:
        sys.exit(__doc__)
    settings.apply()
    with ended_by_errors():
        if sys.argv[1] != "use":  # It only reads a file.
            only_docker(sys.argv[1])
        commands[sys.argv[1]](*sys.argv[2:])


if __name__ == "__main__":
    main()
