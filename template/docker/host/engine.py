"""Build and run the stages of the image, with the settings of this machine.

    python docker/host/engine.py check                   refuse a lock that does not fit
    python docker/host/engine.py facts FOLDER            write what the stages read of the lock
    python docker/host/engine.py build STAGE [OPTION …]  build and tag a stage (of docker build)
    python docker/host/engine.py run STAGE [ARGUMENT …]  build a stage, run it with its services
    python docker/host/engine.py test [OPTION …]         run production and the tests (of pytest)
    python docker/host/engine.py develop COMMAND …       run a command in the development container
    python docker/host/engine.py up [COMMAND …]          any compose command, "up" if none is named
    python docker/host/engine.py lock [ARGUMENT …]       write poetry.lock (packages or options)
    python docker/host/engine.py push REPOSITORY:TAG     build production, push it, print its digest

A project without a lock file is locked first; a lock that does not fit pyproject.toml is refused.
"""

import atexit
import functools
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import client
import compose
import image_settings
import labels
import pins
import platforms
import podman
import progress
import project_file
import push
import reproducible
import settings
import summary
from session import (
    SessionError,
    docker,
    docker_client,
    ended_by_errors,
    is_podman,
    only_docker,
    read_json,
    read_text,
)

IMAGE = Path(__file__).parent.parent / "image"
SPLIT_FACTS, IMPORT_MODULES = IMAGE / "split_facts.py", IMAGE / "import_modules.py"
PATH_DEPENDENCIES = IMAGE / "path_dependencies.py"
CHECKS_READ = ("data.json", "not-imported.json", "test-runs.json")
PRODUCTION = "production"
# The tag of production while it is tested: what was shipped last keeps its own.
CANDIDATE = "candidate"
# The session's own options; the first comes before those of docker build.
TWICE, VERBOSE = "--reproducible", "--verbose"
# Those of docker build that only ask.
NO_IMAGE = ("--call", "--check", "--print")
LOOK_UP_SECONDS = 300
# Taken from the environment; what is not set there has its default in the Dockerfile.
BUILD_ARGUMENTS = (
    "APPLICATION_VERSION",
    "BUILDER_IMAGE",
    "HOST_GID",
    "HOST_UID",
    "OWN_PACKAGE",
    "PROJECT_FOLDER",
    "PYTHON_IMAGE",
    # Docker knows these, and keeps them out of history and cache:
    # https://docs.docker.com/reference/dockerfile/#predefined-args
    *(either for name in settings.PROXIES for either in (name, name.lower())),
)


def repeated() -> str:
    """Return an option that repeats a step which asks what there is now.

    The option --no-cache-filter would empty its cache mounts, too.
    """
    return f"--build-arg=ASKED={time.time_ns()}"


def name() -> str:
    """Return the project's name, which its images and its service of compose have, too."""
    return project_file.name(project_file.read())


def facts(folder: str) -> None:
    """Write what the stages read of pyproject.toml and the lock; ends the program if it is wrong.

    A project without a lock is locked first.
    """
    if not Path("poetry.lock").exists():
        print("There is no poetry.lock yet: locking first.", file=sys.stderr)
        write_lock()
    program = [sys.executable, str(SPLIT_FACTS), ".", folder]
    status = subprocess.run(program, check=False).returncode
    if status:
        sys.exit(status)


def all_facts(folder: str) -> None:
    """Write them; ends the program if development, and not production alone, is wrong, too."""
    facts(folder)
    text = Path(folder, "development.json").read_text(encoding="utf-8")
    if refused := json.loads(text)["refused"]:
        sys.exit(refused)


def check() -> None:
    """End the program if the lock cannot be installed, the development groups included.

    So does a Dockerfile without what [tool.seedpod.image] says.
    """
    with tempfile.TemporaryDirectory() as folder:
        all_facts(folder)
        image_settings.check(read_json(Path(folder, "image.json")), name())


def write_image_settings() -> None:
    """Write what [tool.seedpod.image] says into the files that Docker and compose read."""
    with tempfile.TemporaryDirectory() as folder:
        facts(folder)
        image_settings.write(read_json(Path(folder, "image.json")), name())


# Once is enough for all stages that a program builds.
@functools.cache
def ensure_lock() -> dict[str, str]:
    """End the program if the lock does not fit pyproject.toml; make one if there is none.

    Out: what tests and checks read, as JSON, by the names of files of docker/image/split_facts.py.
    """
    with tempfile.TemporaryDirectory() as folder:
        facts(folder)
        image_settings.check(read_json(Path(folder, "image.json")), name())
        pins.use_base_image()
        # Builds of compose have it, too.
        own = Path(folder, "own-package.txt").read_text(encoding="utf-8")
        os.environ["OWN_PACKAGE"] = own
        if own == "paths":
            collect_paths()
        return {file: Path(folder, file).read_text(encoding="utf-8") for file in CHECKS_READ}


@functools.cache
def collect_paths() -> None:
    """Copy path dependencies that are outside of this folder to where builds find them.

    Ends the program if one does not exist; what is copied is removed when it ends.
    """
    folder = tempfile.mkdtemp()
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    program = [sys.executable, str(PATH_DEPENDENCIES), ".", folder]
    done = subprocess.run(program, stdout=subprocess.PIPE, encoding="utf-8", check=False)
    if done.returncode:
        sys.exit(done.returncode)
    if done.stdout:
        os.environ.update(LOCAL_CONTEXT=folder, PROJECT_FOLDER=done.stdout.strip())


def stages() -> list[str]:
    """Return the names of the stages of the Dockerfile, none if there is no such file."""
    text = read_text(image_settings.DOCKERFILE) if image_settings.DOCKERFILE.exists() else ""
    return re.findall(r"^FROM .+\sAS\s+(\S+)", text, flags=re.MULTILINE | re.IGNORECASE)


def names_platform(option: str) -> bool:
    """Tell whether an option of docker build is one for its platform."""
    return option.partition("=")[0] == "--platform"


def build_command(stage: str, *options: str, platform: str = "") -> list[str]:
    """Return the command that builds a stage; settings reach it as arguments and secrets.

    Without a platform, Docker takes one. Raises SessionError if BUILD_OPTIONS cannot be read.
    """
    own = [f"--build-arg={name}" for name in BUILD_ARGUMENTS]
    if stage == PRODUCTION and (date := pins.source_date()):
        own.append(f"--build-arg=SOURCE_DATE_EPOCH={date}")
    if platform:
        own.append(f"--platform={platform}")
    if file := settings.certificates():
        own.append(f"--secret=id=ca.pem,src={file}")
    own.append("--secret=id=pip.env,env=PIP_ENV")
    if context := os.environ.get("LOCAL_CONTEXT"):
        own.append(f"--build-context=local={context}")
    # Pipelines say there where layers are kept, for each stage and platform apart.
    kept = f"{stage}-{platforms.suffix(platform)}" if platform else stage
    try:
        own += shlex.split(os.environ.get("BUILD_OPTIONS", "").replace("{stage}", kept))
    except ValueError as error:
        raise SessionError(f"BUILD_OPTIONS has no words ({error}). Close its quotes.") from error
    # Docker would take all of them.
    if platform and sum(map(names_platform, own)) > 1:
        raise SessionError(
            "BUILD_OPTIONS names a platform, and [tool.seedpod] does. Remove it from BUILD_OPTIONS."
        )
    command = podman.build([*own, *options]) if is_podman() else ["docker", "build"]
    return [*command, f"--target={stage}", *own, *options, "."]


def run_build(stage: str, *options: str, platform: str = "") -> None:
    """Run the command that builds a stage, and show it or how far it is."""
    command = build_command(stage, *options, platform=platform)
    title = "-".join([stage, *([platforms.suffix(platform)] if platform else [])])
    with progress.following(title, command) as shown:
        client.run(command, functools.partial(look_up, platform=platform), shown)


def look_up(kind: str, name: str, platform: str = "") -> str:
    """Return what to do about a header, a library or a program that a compilation lacks.

    Empty if that cannot be told: a session that has failed is not to fail anew.
    """
    print(f"\nLooking for the package that has {name} …", file=sys.stderr, flush=True)
    with tempfile.TemporaryDirectory() as folder:
        options = (f"--build-arg=WANTED={kind} {name}", repeated(), f"--output={folder}")
        command = build_command("found-package", *options, platform=platform)
        with suppress(subprocess.TimeoutExpired):
            subprocess.run(
                command,
                env={**os.environ, **settings.proxies_of_docker()},
                capture_output=True,
                check=False,
                timeout=LOOK_UP_SECONDS,
            )
        remedy: str = read_json(Path(folder, "found.json")).get("remedy", "")
        return remedy


def build(stage: str, *options: str, tag: str = "", platform: str = "") -> None:
    """Build a stage and tag it, by default with its name; a build that fails moves no tag."""
    ensure_lock()
    # A builder elsewhere keeps what it builds, where nothing asks for it.
    load = () if is_podman() else ("--load",)
    tags = ("--tag", f"{name()}:{tag or stage}")
    run_build(stage, *load, *tags, *label_options(), *options, platform=platform)


@functools.cache
def label_options() -> list[str]:
    """Return options that write into an image what it is, and what of; a project's own come later.

    They change no layer.
    """
    image = os.environ.get("PYTHON_IMAGE") or pins.named_base_image()
    found = labels.of(project_file.read(), pins.source_date(), image)
    return [f"--label={name}={text}" for name, text in sorted(found.items())]


def build_for_all(stage: str, *options: str) -> None:
    """Build a stage as ``build`` does; production for each of its platforms, with a summary.

    Those that are not the engine's have a tag of their own, and come first: if one cannot be built,
    production stays what it is. An engine's store may have no room for more in one tag.
    """
    if VERBOSE in options:
        os.environ["BUILDKIT_PROGRESS"] = "plain"
        options = tuple(option for option in options if option != VERBOSE)
    if stage == PRODUCTION and options[:1] == (TWICE,):
        only_docker(f"docker_prod -- {TWICE}")
        if any(map(names_platform, options)):
            sys.exit(
                f"{TWICE} builds for each platform that pyproject.toml lists. Leave out "
                "--platform, or name it in DOCKER_DEFAULT_PLATFORM."
            )
        build_twice(*options[1:])
        return
    if stage != PRODUCTION or any(option.split("=")[0] in NO_IMAGE for option in options):
        build(stage, *options)
        return
    ensure_lock()
    for platform in [""] if any(map(names_platform, options)) else platforms.wanted():
        tag = platforms.tag(stage, platform) if platform else stage
        with summary.shown(f"{name()}:{tag}"):
            build(stage, *options, tag=tag, platform=platform)


def build_twice(*options: str) -> None:
    """Build production twice from nothing, and tag it if both images are the same.

    Ends the program with the first difference if they are not.
    """
    for platform in platforms.wanted():
        tag, images = platforms.tag(PRODUCTION, platform), []
        candidate = platforms.tag(CANDIDATE, platform)
        for _ in range(2):
            build(PRODUCTION, "--no-cache", *options, tag=candidate, platform=platform)
            images.append(reproducible.read(f"{name()}:{candidate}"))
        if found := reproducible.difference(*images):
            sys.exit(
                f"Two builds of {name()}:{tag} are not the same: {found}. Let what writes it keep "
                "to SOURCE_DATE_EPOCH, or remove it in a step of the image."
            )
        docker("tag", f"{name()}:{candidate}", f"{name()}:{tag}")
        print(f"Two builds of {name()}:{tag} from nothing are the same:")
        print(*images[0].digests, sep="\n", flush=True)


def export(stage: str, folder: str, *options: str, platform: str = "") -> None:
    """Build a stage and write the files that are in it into a folder."""
    ensure_lock()
    run_build(stage, f"--output={folder}", *options, platform=platform)


def exported(stage: str, file: str, *options: str, platform: str = "") -> dict[str, Any]:
    """Build a stage and return the JSON object in the file that it exports."""
    with tempfile.TemporaryDirectory() as folder:
        export(stage, folder, *options, platform=platform)
        content: dict[str, Any] = json.loads(Path(folder, file).read_text(encoding="utf-8"))
    return content


def run(stage: str, *arguments: str) -> None:
    """Build a stage and run it with services of its own, which are removed in the end."""
    build(stage, platform=platforms.wanted()[-1] if stage == PRODUCTION else "")
    words = with_command(f"{name()}:{stage}", *arguments)
    command = ("run", "--rm", "--service-ports", f"{name()}-{stage}", *words)
    compose.run(command, name=own_name(stage))


def with_command(image: str, *arguments: str) -> tuple[str, ...]:
    """Return arguments for an image; before options its command, if it has no entry point."""
    if not arguments or not arguments[0].startswith("-"):
        return arguments
    config = json.loads(client.output((docker_client(), "image", "inspect", image)))[0]["Config"]
    command = () if config.get("Entrypoint") else config.get("Cmd") or ()
    return (*command, *arguments)


def own_name(stage: str) -> str:
    """Return a name for a run's own services: another run at the same time has some, too."""
    return f"{name()}-{stage}-{os.getpid()}"


def test(*options: str) -> None:
    """Import every module in production itself and run it, then run the tests on top of it.

    The image of the tests has the same layers below those with what only tests need, which could
    hide that production lacks something. A program from the index has no modules and no tests of
    its own. Raises SessionError if there is nothing to run.
    """
    facts, is_package = ensure_lock(), project_file.has_package(project_file.read())
    runs: list[list[str]] = json.loads(facts["test-runs.json"])
    has_tests = is_package or "test" in stages()
    if options and not has_tests:
        raise SessionError("There are no tests to take options. Run nox -s docker_run -- OPTIONS")
    if not (is_package or runs or has_tests):
        remedy = 'Add runs = [["--version"]] to [tool.seedpod.test]'
        raise SessionError(f"docker_test has nothing to run. {remedy}")
    *others, main = platforms.wanted()
    for platform in (*others, main):
        tag = os.environ["CANDIDATE_TAG"] = platforms.tag(CANDIDATE, platform)
        build(PRODUCTION, tag=tag, platform=platform)
        # A builder elsewhere can build what the engine here cannot run.
        if platform and not platforms.runs_here(f"{name()}:{tag}", platform):
            print(f"{platform} is not tested: its programs do not run here.", flush=True)
            continue
        commands: list[Sequence[str]] = []
        if is_package:
            text = IMPORT_MODULES.read_text(encoding="utf-8")
            program = ("--entrypoint=python3", f"{name()}-production", "-P", "-c", text)
            commands.append(("run", "--rm", *program, name(), facts["not-imported.json"]))
        for arguments in runs:
            words = with_command(f"{name()}:{tag}", *arguments)
            commands.append(("run", "--rm", f"{name()}-production", *words))
        if has_tests:
            build("test", platform=platform)
            commands.append(("run", "--rm", f"{name()}-test", "pytest", *options))
        if others:
            print(f"Testing {platform}", file=sys.stderr, flush=True)
        compose.run(*commands, name=own_name("test"))


def develop(*command: str) -> None:
    """Run a command in the development container that runs, else in one of its own."""
    service = name()
    running = client.output((*compose.base_command(), "ps", "--quiet", "--status=running", service))
    # A warning may precede the container's number.
    if re.search(r"^[0-9a-f]{64}$", running, flags=re.MULTILINE):
        compose.run(("exec", service, *command))
    else:
        prepare("run")
        compose.run(("run", "--rm", service, *command))


def up(*command: str) -> None:
    """Run a compose command, Poetry in the development container, or "up" with options."""
    if command[:1] == ("poetry",):
        develop(*command)
        return
    if not command or command[0].startswith("-"):
        command = ("up", *command)
    prepare(command[0])
    compose.run(command)


def prepare(command: str) -> None:
    """Do what has to be done before a command of compose, if that builds; raises SessionError.

    Compose builds with Docker alone: with Podman, the development image is built before.
    """
    if command in ("build", "create", "run", "up", "watch"):
        ensure_lock()
        if is_podman():
            if command in ("build", "watch"):
                only_docker(f"up -- {command}")
            build("development")
            os.environ["PULL_POLICY"] = "missing"


def write_lock(*arguments: str) -> None:
    """Write poetry.lock: of these packages new versions, with options of "poetry lock", or anew."""
    command = ["update", "--lock"] if arguments and arguments[0][0] != "-" else ["lock"]
    collect_paths()
    options = [f"--build-arg=LOCK_COMMAND={' '.join([*command, *arguments])}", "--output=."]
    run_build("lock", *options, *([repeated()] if arguments else []))


def lock(*arguments: str) -> None:
    """Write poetry.lock, and what [tool.seedpod.image] says into other files.

    Ends the program if Poetry has locked what no build can install.
    """
    write_lock(*arguments)
    write_image_settings()
    check()
    propose_versions()


def propose_versions() -> None:
    """Print what of the lock will be compiled, and which later versions have a wheel.

    Ends the program if a package is locked that an image can neither take nor compile.
    """
    wanted, refused = platforms.wanted(), []
    for platform in wanted:
        found = exported("proposal", "proposal.json", repeated(), platform=platform)
        title = f"{platform}: " if len(wanted) > 1 else ""
        if found["announcement"]:
            print(f"{title}{found['announcement']}", flush=True)
        if found["refused"]:
            refused.append(f"{title}{found['refused']}")
    if refused:
        sys.exit("\n".join(refused))


def push_production(*arguments: str) -> None:
    """Build production, push it as REPOSITORY:TAG, and print what names it for ever."""
    target = re.fullmatch(r"([^\s@]+):([\w.-]+)", " ".join(arguments))
    if not target:
        sys.exit("Usage: nox -s docker_push -- REPOSITORY:TAG")
    only_docker("docker_push")
    ensure_lock()
    wanted = platforms.wanted()
    images = [
        push.Image(
            f"{name()}:{platforms.tag(PRODUCTION, platform)}",
            f"{target[0]}-{platforms.suffix(platform)}" if len(wanted) > 1 else target[0],
            build_command(PRODUCTION, *label_options(), platform=platform),
        )
        for platform in wanted
    ]
    push.push(target[0], images)


COMMANDS: dict[str, Callable[..., object]] = {
    "build": build_for_all,
    "check": check,
    "develop": develop,
    "facts": all_facts,
    "lock": lock,
    "push": push_production,
    "run": run,
    "test": test,
    "up": up,
}


def main(arguments: Sequence[str]) -> None:
    """Run the command that the arguments name."""
    command = COMMANDS.get(arguments[0]) if arguments else None
    with_argument = (build_for_all, develop, all_facts, run)
    if command is None or (command in with_argument and len(arguments) < 2):
        sys.exit(__doc__)
    settings.apply()
    with ended_by_errors():
        command(*arguments[1:])


if __name__ == "__main__":
    main(sys.argv[1:])
