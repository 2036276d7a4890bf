"""The minimal runtime: a whole Python, and nothing around it."""

import json
import re

import pytest

from support.images import Layout
from tests.conftest import REPOSITORY
from tests.docker.projects import HARDENED, Made, Make, program, wait_until

# It looks for curses by running ldconfig, and says so if there is none.
NEEDS_A_PROGRAM = {"_pyrepl._minimal_curses"}


@pytest.fixture(scope="session")
def minimal(built: Make, layout: Layout) -> Made:
    """Return the default project with the minimal runtime on each layout."""
    return built(layout)


def test_every_kept_module_of_the_standard_library_can_be_imported(minimal: Made) -> None:
    """Modules for other systems, and for libraries that the base image lacks, fail there, too."""
    modules = minimal.python(program("list_modules"))
    assert len(json.loads(modules)) > 500
    run = ("run", "--rm", "--network=none", "--entrypoint=python3")
    failed = [
        set(json.loads(minimal.docker(*run, image, "-c", program("import_modules"), modules)))
        for image in (f"{minimal.name}:production", minimal.variables["PYTHON_IMAGE"])
    ]
    assert failed[0] - failed[1] <= NEEDS_A_PROGRAM


def test_it_has_no_shell_and_no_other_program(minimal: Made) -> None:
    programs = minimal.python(
        "import os\n"
        "print(sorted({os.path.realpath(os.path.join(d, f))"
        " for d in ('/bin', '/sbin', '/usr/bin', '/usr/sbin', '/usr/local/bin')"
        " if os.path.isdir(d) for f in os.listdir(d)}))"
    )
    (only,) = json.loads(programs.replace("'", '"'))
    assert only.endswith("/python3.13")


def test_tracebacks_name_the_lines_of_the_standard_library(minimal: Made) -> None:
    output = minimal.python(
        "import json, traceback\n"
        "try: json.loads('no')\n"
        "except ValueError: print(traceback.format_exc())"
    )
    assert re.search(r'python3.13/json/decoder.py", line \d+, in raw_decode', output)


def test_certificates_time_zones_users_and_a_folder_for_temporary_files_are_there(
    minimal: Made,
) -> None:
    output = minimal.python(
        "import os, pwd, ssl, tempfile, zoneinfo\n"
        "print(len(ssl.create_default_context().get_ca_certs()) > 100,"
        " zoneinfo.ZoneInfo('Europe/Zurich').key, pwd.getpwuid(os.getuid()).pw_name,"
        " tempfile.gettempdir(), oct(os.stat('/tmp').st_mode))",
        "production",
        "--tmpfs=/tmp:mode=1777",
    )
    assert output == "True Europe/Zurich app /tmp 0o41777"


def test_threads_can_be_cancelled(built: Make, layout: Layout) -> None:
    """The GNU C library loads libgcc_s for that, which no ELF file of this project asks for."""
    output = built(layout, kind="cli").python(
        "import ctypes\n"
        "c, thread, result = ctypes.CDLL(None), ctypes.c_ulong(), ctypes.c_void_p()\n"
        "c.pthread_create(ctypes.byref(thread), None, c.pause, None)\n"
        "c.pthread_cancel(thread)\n"
        "c.pthread_join(thread, ctypes.byref(result))\n"
        "print(ctypes.c_long(result.value).value)"
    )
    # PTHREAD_CANCELED, as both libraries define it.
    assert output == "-1"


def test_the_c_library_is_found_by_name(minimal: Made) -> None:
    assert minimal.python("import ctypes\nprint(bool(ctypes.CDLL('libc.so.6')))") == "True"


def test_scanners_find_the_records_of_the_packages_that_are_there_and_of_no_other(
    minimal: Made, layout: Layout
) -> None:
    records = minimal.python(
        "import glob, re\n"
        "files = glob.glob('/var/lib/dpkg/status.d/*') + glob.glob('/lib/apk/db/installed')\n"
        "text = '\\n'.join(open(file).read() for file in files)\n"
        "print(*re.findall('^(?:Package: |P:)(.+)$', text, flags=re.M))"
    )
    packages = set(records.split())
    if layout is Layout.ALPINE:
        there = {"ca-certificates-bundle", "libssl3", "musl", "tzdata", "zlib"}
        gone = {"alpine-keys", "apk-tools", "busybox", "scanelf"}
    else:
        there = {"libc6", "libssl3t64", "zlib1g", "tzdata"}
        gone = {"dpkg", "apt", "bash", "coreutils", "perl-base"}
    assert there <= packages
    assert not packages & gone
    release = minimal.python("print(open('/etc/os-release').read())")
    assert f"ID={'alpine' if layout is Layout.ALPINE else 'debian'}" in release.splitlines()


def test_its_layers_are_the_same_when_they_are_assembled_again(minimal: Made) -> None:
    before = minimal.layers()
    minimal.docker(
        *("build", "--target=production", "--no-cache-filter=library,minimal", "--quiet"),
        *("--build-arg", f"PYTHON_IMAGE={minimal.variables['PYTHON_IMAGE']}"),
        *("--tag", f"{minimal.name}:again", "."),
    )
    assert minimal.layers("again")[:2] == before[:2]


def test_a_second_container_beside_it_sees_what_a_shell_would(built: Make) -> None:
    """The one that docs/kubernetes.md puts there, which is the whole runtime, with what it says.

    Kubernetes' debug makes such a container, in the same namespaces and without rights, too.
    """
    lean, whole = built(Layout.DEBIAN), built(Layout.DEBIAN, runtime="full")
    page = (REPOSITORY / "docs/kubernetes.md").read_text(encoding="utf-8")
    table = page.partition("In that shell:")[2]
    commands = re.findall(r"^\| `(.+)` \|", table, flags=re.MULTILINE)
    expected = ["opt\n", "USER=app", "Threads:", '{"status":"ok"}']
    container = lean.docker("run", "--detach", *HARDENED, f"{lean.name}:production")
    try:
        healthy = ("docker", "inspect", "--format={{.State.Health.Status}}", container)
        wait_until(lambda: lean.run(*healthy).stdout.strip() == "healthy")
        beside = [f"--{name}=container:{container}" for name in ("pid", "network")]
        run = ("run", "--rm", *beside, *HARDENED, f"{whole.name}:production", "sh", "-c")
        for command, text in zip(commands, expected, strict=True):
            assert text in whole.docker(*run, command)
    finally:
        lean.docker("rm", "--force", container)
