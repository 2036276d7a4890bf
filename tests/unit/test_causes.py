"""docker/host/causes.py knows what messages mean, and what to do about each."""

import causes
import client
import pytest

DIGEST = f"sha256:{'0a1b' * 16}"
# What Docker wrote, word for word but for names; 26.1 and 28 or later where they differ.
MESSAGES = [
    (
        "#14 1.702 System packages: [tool.sys.debian13] in pyproject.toml names libpq4, which the "
        "archive does not have. Close to it are libpq5.\n"
        "------\n > [build-system 1/1] RUN "
        "python3 /docker/install_system.py /metadata/packages.json:\n"
        'ERROR: failed to solve: process "/bin/sh -c python3" did not complete successfully: 1',
        "System packages: [tool.sys.debian13] in pyproject.toml names libpq4, which the archive "
        "does not have. Close to it are libpq5.",
    ),
    (
        "2.151 System packages: sys.lock does not fit [tool.sys.debian13]. Run nox -s sys_lock.",
        "System packages: sys.lock does not fit [tool.sys.debian13]. Run nox -s sys_lock.",
    ),
    (
        "#30 0.211 Files: rootfs/bin would replace a link of the image. Move what is there to "
        "rootfs/usr/local/bin.",
        "Files: rootfs/bin would replace a link of the image. Move what is there to ",
    ),
    (
        "#31 1.834 Step: python3 -m shop ends with status 3. Fix what it reported.",
        "Step: python3 -m shop ends with status 3. Fix what it reported.",
    ),
    (
        "#12 0.644 Wheels: one-1.0-py3-none-any.whl in the wheelhouse has changed since it was "
        "made. Delete it and run nox -s docker_wheels.\n------\n > [metadata 4/4] RUN python3:",
        "Wheels: one-1.0-py3-none-any.whl in the wheelhouse has changed since it was made. Delete "
        "it and run nox -s docker_wheels.",
    ),
    (
        "#21 0.310 Interpreter: The prefix of the image that builds is /usr, and of the one that "
        "runs /usr/local. Let BUILDER_IMAGE and PYTHON_IMAGE be variants of one image.",
        "Interpreter: The prefix of the image that builds is /usr, and of the one that runs "
        "/usr/local. Let BUILDER_IMAGE and PYTHON_IMAGE be variants of one image.",
    ),
    (
        "#15 9.412       src/lxml/etree.c:52:10: fatal error: libxml/xmlversion.h: No such file or "
        "directory\n#15 9.412       compilation terminated.",
        "A wheel is compiled here, and the header libxml/xmlversion.h is missing.",
    ),
    (
        "#15 3.3 psycopg_c/pq.cpp:4:10: fatal error: libpq-fe.hpp: No such file or directory",
        "A wheel is compiled here, and the header libpq-fe.hpp is missing.",
    ),
    (
        "#15 3.301       error: command 'gcc' failed: No such file or directory",
        "A wheel is compiled here, and the program gcc is missing.",
    ),
    (
        "#15 3.301 error: [Errno 2] unable to execute 'x86_64-linux-gnu-g++': No such file or "
        "directory",
        "A wheel is compiled here, and the program x86_64-linux-gnu-g++ is missing.",
    ),
    (
        "#15 2.880       Error: pg_config executable not found.\n"
        "#15 2.880       pg_config is required to build psycopg2 from source.",
        "A wheel is compiled here, and the program pg_config is missing.",
    ),
    (
        "#15 2.018       /bin/sh: 1: mysql_config: not found",
        "A wheel is compiled here, and the program mysql_config is missing.",
    ),
    (
        "#15 2.018       Exception: Can not find valid pkg-config name.\n"
        "#15 2.018       Specify MYSQLCLIENT_CFLAGS and MYSQLCLIENT_LDFLAGS env vars manually",
        "A wheel is compiled here, and the program pkg-config is missing.",
    ),
    (
        "#15 3.3   x Failed to build `pycurl==7.47.0`\n#15 3.3   ├─▶ The build backend "
        "returned an error\n#15 3.3       FileNotFoundError: [Errno 2] No such file or directory: "
        "'curl-config'",
        "A wheel of pycurl==7.47.0 is compiled here, and the program curl-config is missing.",
    ),
    (
        # All of a long log is not kept.
        "#19 15.3 core/uwsgi.h:4:10: fatal error: Python.h: No such file or directory\n"
        "#19 15.36 hint: This error likely indicates that you need to install a library that "
        "provides `Python.h` for `uwsgi@2.0.31`",
        "A wheel of uwsgi@2.0.31 is compiled here, and the header Python.h is missing.",
    ),
    (
        "#15 3.301       error: [Errno 2] No such file or directory: 'gcc'",
        "A wheel is compiled here, and the program gcc is missing.",
    ),
    (
        "#15 1.1 ../meson.build:1:0: ERROR: Unknown compiler(s): [['cc'], ['gcc'], ['clang']]",
        "A wheel is compiled here, and the program cc is missing.",
    ),
    (
        "#15 1.1 CMake Error at CMakeLists.txt:3 (project):\n#15 1.1   No "
        "CMAKE_C_COMPILER could be found.",
        "A wheel is compiled here, and the program CMAKE_C_COMPILER is missing.",
    ),
    (
        "#15 1.1 error: can't find Rust compiler",
        "A wheel is compiled here, and the program Rust is missing.",
    ),
    (
        '#15 1.1 ../meson.build:20:0: ERROR: Dependency "openblas" not found, tried pkgconfig',
        "A wheel is compiled here, and the library openblas is missing.",
    ),
    (
        "#15 1.1 Package libxml-2.0 was not found in the pkg-config search path.",
        "A wheel is compiled here, and the library libxml-2.0 is missing.",
    ),
    (
        "#15 1.1 CMake Error: Could NOT find ZLIB (missing: ZLIB_LIBRARY ZLIB_INCLUDE_DIR)",
        "A wheel is compiled here, and the library ZLIB is missing.",
    ),
    (
        "#15 1.1 /usr/bin/ld: cannot find -lpq: No such file or directory",
        "A wheel is compiled here, and the library pq is missing.",
    ),
    (
        '#15 1.1 src/a.c:5:2: error: #error "this needs Python.h"',
        "A wheel is compiled here, and the header Python.h is missing.",
    ),
    (
        "#9 1.5 Unable to read the lock file (Invalid statement (at line 1, column 1)).",
        "poetry.lock cannot be read.",
    ),
    ('ERROR: no builder "nope" found', "There is no builder nope."),
    (
        "WARNING: No output specified with remote driver.\n"
        "ERROR: failed to build: context deadline exceeded",
        "The builder in use does not answer.",
    ),
    ("ERROR: context deadline exceeded", "The builder in use does not answer."),
    (
        'ERROR: failed to list workers: Unavailable: connection error: desc = "transport: Error '
        'while dialing: dial tcp 127.0.0.1:1: connect: connection refused"',
        "The builder in use does not answer.",
    ),
    (
        "ERROR: docker exporter does not currently support exporting manifest lists",
        "An image for several platforms cannot be loaded into this engine.",
    ),
    (
        "#5 [stage-1 1/1] RUN echo x\n#5 0.322 exec /bin/sh: exec format error\n"
        '#5 ERROR: process "/bin/sh -c echo x" did not complete successfully: exit code: 1\n',
        "/bin/sh does not run on this machine: it is for another processor, or a script without a",
    ),
    (
        "WARNING: The requested image's platform (linux/arm64) does not match the detected host "
        "platform (linux/amd64/v3) and no specific platform was requested\n"
        "exec /usr/bin/python3: exec format error",
        "/usr/bin/python3 does not run on this machine: it is for another processor, or a script",
    ),
    (
        "ERROR: failed to build: failed to solve: registry.example/python:3.11-slim: failed to "
        "resolve source metadata for registry.example/python:3.11-slim: no match for platform in "
        "manifest: not found",
        "The base image is not there for the platform that is built.",
    ),
    (
        "ERROR: push and load may not be set together at the moment",
        "The image is loaded into the engine, and this builder has one output at a time.",
    ),
    (
        "ERROR: failed to build: Cache export is not supported for the docker driver.\n"
        "Switch to a different driver, or turn on the containerd image store, and try again.",
        "The builder in use cannot keep layers where BUILD_OPTIONS says.",
    ),
    (
        '#0 building with "elsewhere" instance using remote driver\n'
        "ERROR: failed to build: failed to solve: own/python:1: failed to resolve source metadata "
        "for docker.io/own/python:1: failed to do request",
        "The builder in use cannot pull the base image docker.io/own/python:1",
    ),
    (
        "Cannot connect to the Docker daemon at unix:///var/run/docker.sock. "
        "Is the docker daemon running?",
        "No container engine answers.",
    ),
    (
        "ERROR: Cannot connect to the Docker daemon at tcp://127.0.0.1:1. "
        "Is the docker daemon running?",
        "No container engine answers.",
    ),
    (
        "failed to connect to the docker API at unix:///var/run/docker.sock; check if the path is "
        "correct and if the daemon is running: dial unix /var/run/docker.sock: connect: "
        "no such file or directory",
        "No container engine answers.",
    ),
    (
        'error during connect: Get "http://build.example:2375/v1.45/info": dial tcp: '
        "lookup build.example: no such host",
        "No container engine answers.",
    ),
    (
        "permission denied while trying to connect to the Docker daemon socket at "
        'unix:///var/run/docker.sock: Get "http://%2Fvar%2Frun%2Fdocker.sock/v1.45/info": '
        "dial unix /var/run/docker.sock: connect: permission denied",
        "This user may not talk to the container engine.",
    ),
    (
        "permission denied while trying to connect to the docker API at "
        "unix:///var/run/docker.sock",
        "This user may not talk to the container engine.",
    ),
    (
        "DEPRECATED: The legacy builder is deprecated and will be removed in a future release.\n"
        "            Install the buildx component to build images with BuildKit:\n"
        "            https://docs.docker.com/go/buildx/\n\nunknown flag: --secret\n"
        "See 'docker build --help'.",
        "This Docker cannot build with BuildKit.",
    ),
    (
        "ERROR: BuildKit is enabled but the buildx component is missing or broken.\n"
        "       Install the buildx component to build images with BuildKit:",
        "This Docker cannot build with BuildKit.",
    ),
    (
        "Error response from daemon: client version 1.99 is too new. "
        "Maximum supported API version is 1.45",
        "Docker's client and engine do not fit each other.",
    ),
    (
        'Error response from daemon: {"message":"client version 1.12 is too old. Minimum supported '
        'API version is 1.24, please upgrade your client to a newer version"}',
        "Docker's client and engine do not fit each other.",
    ),
    ("docker: 'compose' is not a docker command.\nSee 'docker --help'", "has no compose command."),
    (
        "docker: unknown command: docker compose\n\nRun 'docker --help' for more information",
        "has no compose command.",
    ),
    (
        "unknown flag: --build\nSee 'docker --help'.\n\nUsage:  docker [OPTIONS] COMMAND",
        "has no compose command.",
    ),
    (
        "unknown shorthand flag: 'd' in -d\nSee 'docker --help'.\n\n"
        "Usage:  docker [OPTIONS] COMMAND",
        "has no compose command.",
    ),
    (
        "failed to solve: failed to copy files: copy file range failed: no space left on device",
        "The engine's disk is full.",
    ),
    (
        f"ERROR: failed to build: failed to solve: python:3.13-slim@{DIGEST}"
        ": failed to resolve source metadata for docker.io/library/python:3.13-slim@"
        f"{DIGEST}: not found",
        f"The base image docker.io/library/python:3.13-slim@{DIGEST} cannot be pulled by its ",
    ),
    (
        "ERROR: failed to solve: python:3.13-slim-trixie: failed to resolve source metadata for "
        "docker.io/library/python:3.13-slim-trixie: failed to do request: Head "
        '"https://registry-1.docker.io/v2/library/python/manifests/3.13-slim-trixie": dial tcp: '
        "lookup registry-1.docker.io: no such host",
        "The base image docker.io/library/python:3.13-slim-trixie cannot be pulled.",
    ),
    (
        '0 Error: creating build container: short-name "shop/python:1" did not resolve to an alias '
        'and no unqualified-search registries are defined in "/etc/containers/registries.conf"',
        "Podman does not know which registry has shop/python:1.",
    ),
    (
        "ERROR: failed to solve: nowhere/base:1: failed to resolve source metadata for "
        "docker.io/nowhere/base:1: pull access denied, repository does not exist or may require "
        "authorization: server message: insufficient_scope: authorization failed",
        "The base image docker.io/nowhere/base:1 cannot be pulled.",
    ),
    (
        "Error response from daemon: pull access denied for nowhere/base, repository does not "
        "exist or may require 'docker login': denied: requested access to the resource is denied",
        "The base image nowhere/base cannot be pulled.",
    ),
    (
        "Error response from daemon: driver failed programming external connectivity on endpoint "
        "myapp-app-1 (0a1b): Bind for 127.0.0.1:8000 failed: port is already allocated",
        "The address 127.0.0.1:8000 is in use.",
    ),
    (
        "Error response from daemon: driver failed programming external connectivity on endpoint "
        "myapp-app-1 (0a1b): Error starting userland proxy: listen tcp4 127.0.0.1:8000: bind: "
        "address already in use",
        "The address 127.0.0.1:8000 is in use.",
    ),
    (
        "Error response from daemon: failed to set up container networking: driver failed "
        "programming external connectivity on endpoint myapp-app-1 (0a1b): failed to bind host "
        "port for 127.0.0.1:8000:172.18.0.2:8000/tcp: address already in use",
        "The address 127.0.0.1:8000 is in use.",
    ),
    (
        "Error response from daemon: failed to set up container networking: driver failed "
        "programming external connectivity on endpoint myapp-app-1 (0a1b): failed to bind host "
        "port 127.0.0.1:8000/tcp: address already in use",
        "The address 127.0.0.1:8000 is in use.",
    ),
    (
        "#16 1.2 Path /libs/shared for shared does not exist",
        "The path dependency shared is not where Poetry runs.",
    ),
    (
        "#16 0.876 [Errno 2] No such file or directory: 'ssh'",
        "A dependency comes from Git by ssh",
    ),
    (
        "#16 5.478   - fido2 requires Python >=3.10, <4, so it will not be installable for Python "
        ">=4.dev0",
        "A dependency is not made for Python 4 and later, which requires-python allows.",
    ),
    (
        "#16 0.993   - torch requires Python >=3.9,<4.0, so it will not be installable for Python "
        ">=4.0\n#16 0.993 \n",
        "A dependency is not made for Python 4.0 and later",
    ),
    (
        "#16 0.993   - scipy requires Python >=3.7,<3.11, so it will not be installable for Python "
        ">=3.13\n#16 0.993 \n",
        "The version of scipy that is asked for is not made for a Python that",
    ),
    (
        "#12 1.7 The currently activated Python version 3.13.5 is not supported by the project\n"
        "#12 1.7 current Python version (3.13.5) does not satisfy >=3.14",
        "The base image has Python 3.13.5, which requires-python in pyproject.toml excludes.",
    ),
    (
        "#12 0.9 WARNING: Retrying (Retry(total=0)) after connection broken by "
        "'SSLError(SSLCertVerificationError(1, '[SSL: CERTIFICATE_VERIFY_FAILED] certificate "
        "verify failed: unable to get local issuer certificate (_ssl.c:1016)'))': /simple/uv/\n"
        "#12 0.9 ERROR: No matching distribution found for uv==0.13.8",
        "A server shows a certificate that this build does not trust.",
    ),
    (
        "#16 0.5 Source (PyPI): Authorization error accessing https://index.example/simple/pg/\n"
        "#16 0.5 Because shop depends on uvicorn (>=1) which doesn't match any versions, version "
        "solving failed.",
        "The package index lets nobody in at https://index.example/simple/pg/ without the right "
        "user and password. Set PIP_INDEX_URL with both",
    ),
    (
        "#16 8.4 All attempts to connect to index.example failed.\n#16 8.4 \n"
        "#16 8.4 Probable Causes:\n"
        "#16 8.4     - the server is not responding to requests at the moment",
        "The package index at index.example does not answer, or its certificate is not trusted.",
    ),
    (
        "#12 0.9 WARNING: Retrying (Retry(total=0)) after connection broken by "
        "'NewConnectionError(\"HTTPConnection(host='index.example', port=9): Failed to establish a "
        "new connection: [Errno 111] Connection refused\")': /simple/uv/\n"
        "#12 0.9 ERROR: No matching distribution found for uv==0.13.8",
        "The package index at index.example does not answer.",
    ),
    (
        "#14 9.1 error: Request failed after 3 retries\n"
        "#14 9.1   Caused by: error sending request for url (https://index.example/simple/click/)\n"
        "#14 9.1   Caused by: tcp connect error\n",
        "The package index at index.example does not answer.",
    ),
    (
        "#16 0.9 Because demo depends on no-such (*) which doesn't match any versions, version "
        "solving failed.",
        "No version of no-such is in the package index that pyproject.toml allows.",
    ),
    (
        "#14 0.5   Caused by: invalid peer certificate: UnknownIssuer",
        "A server shows a certificate that this build does not trust.",
    ),
    (
        "#12 1.2 ERROR: Could not find a version that satisfies the requirement uv==0.13.8 "
        "(from versions: none)\n#12 1.2 ERROR: No matching distribution found for uv==0.13.8",
        "The package index refuses or lacks uv==0.13.8.",
    ),
    (
        "#14 0.5   Caused by: HTTP status client error (401 Unauthorized) for url "
        "(https://index.example/simple/click/)",
        "The package index refuses or lacks https://index.example/simple/click/.",
    ),
    (
        "#14 1.5 Resolving dependencies...\n#14 1.6 \n"
        "#14 1.6 Source (my-src): Authorization error accessing http://h:1/simple/x/",
        "The package index lets nobody in at http://h:1/simple/x/ without the right user and ",
    ),
    (
        "#14 1.6   cause: Because secretpkg was not found in the package registry and you require "
        "secretpkg==1.0, we can conclude that your requirements are unsatisfiable.",
        "The package index refuses or lacks secretpkg.",
    ),
    (
        "#14 1.6 Index: my-src at http://h:1/simple wants a password (HTTP 401). Set "
        "POETRY_HTTP_BASIC_MY_SRC_USERNAME and POETRY_HTTP_BASIC_MY_SRC_PASSWORD, in the "
        "environment or in pip.env.\n------\n > [dependencies 2/2] RUN online python3:",
        "Index: my-src at http://h:1/simple wants a password (HTTP 401). Set "
        "POETRY_HTTP_BASIC_MY_SRC_USERNAME and POETRY_HTTP_BASIC_MY_SRC_PASSWORD, in the "
        "environment or in pip.env.",
    ),
    (
        "#14 1.6   cause: Because secretpkg was not found in the package registry and you require "
        "secretpkg==1.0, we can conclude that your requirements are unsatisfiable.\n"
        "#14 1.7 Index: my-src at http://h:1/simple wants a password (HTTP 401). Set x.",
        "Index: my-src at http://h:1/simple wants a password (HTTP 401). Set x.",
    ),
    (
        "#14 1.5 Resolving dependencies...\n#14 1.6 \n"
        "#14 1.6 Failed to clone https://code.example/x.git, check your git configuration and "
        "permissions for this repository.",
        "A repository of Git does not let this build in.",
    ),
    (
        "#14 1.5 Resolving dependencies...\n#14 1.6 \n"
        "#14 1.6 [Errno 2] No such file or directory: 'git'",
        "A repository of Git does not let this build in.",
    ),
    (
        "#14 1.6 fatal: could not read Username for 'https://code.example': terminal prompts "
        "disabled",
        "A repository of Git does not let this build in.",
    ),
    (
        "#14 1.6 fatal: Authentication failed for 'https://code.example/x.git/'",
        "A repository of Git does not let this build in.",
    ),
    (
        "#14 1.6   cause: Git executable not found. Ensure that Git is installed and available.",
        "A dependency comes from Git, and the program git is missing.",
    ),
    (
        "#17 0.412 Package: The path dependency ../shared is outside of the build context. Build "
        "by a session of Nox; or add the folder that has it and this one, and where this one is "
        "there: --build-context local=../.. --build-arg PROJECT_FOLDER=FOLDER/NAME",
        "Package: The path dependency ../shared is outside of the build context. Build by a ",
    ),
    (
        "ERROR: failed to stat /etc/none.pem: stat /etc/none.pem: no such file or directory",
        "The file /etc/none.pem does not exist.",
    ),
    (
        " Container shop-redis-1  Healthy\n Container shop-postgres-1  Error\n"
        "dependency failed to start: container shop-postgres-1 is unhealthy",
        "The service postgres does not become ready.",
    ),
    (
        "dependency failed to start: container corner-shop-2-test-4711-redis-1 exited (1)",
        "The service redis does not become ready.",
    ),
    (
        "network seedpod declared as external, but could not be found",
        "The network seedpod, which projects share, does not exist.",
    ),
    (
        "Error response from daemon: network seedpod not found",
        "The network seedpod, which projects share, does not exist.",
    ),
    (
        f"Error response from daemon: network {'0a1b' * 16} not found",
        "A container that was stopped refers to a network that was removed since.",
    ),
    (
        "project name must not be empty",
        "Compose cannot make a name for its containers from that of this folder.",
    ),
    (
        "unknown flag: --frob\nSee 'docker buildx build --help'.",
        "Docker has no option --frob.",
    ),
    (
        "unknown shorthand flag: 'x' in -x\nSee 'docker buildx build --help'.",
        "Docker has no option ",
    ),
    ("no basic auth credentials", "The registry does not let this user push there."),
    (
        "ERROR: target 3-13-debian13-plain: denied: requested access to the resource is denied",
        "The registry does not let this user push there.",
    ),
    (
        "ERROR: failed to build: failed to solve: failed to push 127.0.0.1:5000/a/b:3.13: "
        "unexpected status from HEAD request to http://127.0.0.1:5000/v2/a/b/blobs/sha256:12: "
        "401 Unauthorized",
        "The registry does not let this user push there.",
    ),
    (
        # What bake had cancelled, because another push had failed.
        "#21 ERROR: Cannot connect to the Docker daemon at unix:///run/docker.sock. Is the docker "
        'daemon running?\nERROR: target a: Get "http://127.0.0.1:4999/v2/": dial tcp '
        "127.0.0.1:4999: connect: connection refused",
        "The registry 127.0.0.1:4999 does not answer.",
    ),
    (
        "#16 8.417 503 Server Error: Service Unavailable for url: http://index.example/simple/pytest/",
        "The package index fails at http://index.example/simple/pytest/.",
    ),
    (
        "#12 9.1   Caused by: HTTP status server error (503 Service Unavailable) for url "
        "(http://index.example/simple/pytest/)",
        "The package index fails at http://index.example/simple/pytest/.",
    ),
    (
        "ERROR: failed to build: failed to receive status: rpc error: code = Unavailable desc = "
        "error reading from server: EOF",
        "The engine ended while it worked.",
    ),
    (
        "ERROR: failed to build: failed to solve: Unavailable: error reading from server: EOF",
        "The engine ended while it worked.",
    ),
    (
        "received unexpected HTTP status: 500 Internal Server Error",
        "The registry fails with an error of its own.",
    ),
    (
        "ERROR: failed to push registry.example/x:1: unexpected status from PUT request to "
        "https://registry.example/v2/x/blobs/uploads/1: 503 Service Unavailable",
        "The registry fails with an error of its own.",
    ),
    (
        "ERROR: registry.example.com:5000/team/shop:1: not found",
        "The registry has no image registry.example.com:5000/team/shop:1.",
    ),
    (
        "unauthorized: authentication required",
        "The registry does not let this user push there.",
    ),
    (
        "denied: requested access to the resource is denied",
        "The registry does not let this user push there.",
    ),
    (
        'Get "http://127.0.0.1:1/v2/": dial tcp 127.0.0.1:1: connect: connection refused',
        "The registry 127.0.0.1:1 does not answer.",
    ),
    (
        'Get "https://nowhere.example/v2/": dial tcp: lookup nowhere.example on 10.0.0.1:53: '
        "no such host",
        "The registry nowhere.example does not answer.",
    ),
    (
        'Error parsing reference: "nowhere.example/Shop:1" is not a valid repository/tag: invalid '
        "reference format: repository name (Shop) must be lowercase",
        "The image's name Shop has capital letters.",
    ),
]


@pytest.mark.parametrize(("message", "problem"), MESSAGES, ids=lambda text: text[:60])
def test_a_message_of_docker_is_explained(message: str, problem: str) -> None:
    explained = client.explain(message.splitlines())
    assert explained is not None
    assert problem in explained
    # A problem and a remedy, with every gap filled.
    assert ". " in explained
    assert "{}" not in explained
    assert "  " not in explained


def test_no_cause_is_without_a_message_here() -> None:
    explained = "\n".join(str(client.explain(message.splitlines())) for message, _ in MESSAGES)
    for _, _, remedy in causes.CAUSES:
        assert remedy in explained


@pytest.mark.parametrize(
    "message",
    [
        "",
        'ERROR: failed to solve: process "/bin/sh -c make" did not complete successfully: '
        "exit code: 2",
        "#9 1.2 FAILED tests/test_app.py::test_index - assert 1 == 2",
        "no such service: nothing",
        # Of an application that runs, and not of a build.
        'requests.exceptions.ConnectionError: (Caused by NewConnectionError("HTTPConnection('
        "host='db', port=80): Failed to establish a new connection: [Errno 111] refused\"))",
    ],
)
def test_what_is_not_known_is_not_explained(message: str) -> None:
    assert client.explain(message.splitlines()) is None
