"""What the messages of Docker, and of programs in a build, mean to the owner of a project.

Each entry is an expression, whose group replaces {}, a problem, and a remedy; the first that
matches counts. Their wording is Docker's of 26.1 and 28.5, Podman's of 4.3, pip's of 26 and
Poetry's of 2.5: tests/unit/test_causes.py of Seedpod's repository has each message as it was met.
"""

# A line of a step of a build, behind BuildKit's time stamp.
STEP = r"^(?:#\d+ )?\d[\d.]* .*?"
CAUSES = (
    # What a program of this folder reports, behind BuildKit's time stamp, has both sentences.
    (
        r"^(?:#\d+ )?[\d.]+ "
        r"((?:Files|Index|Interpreter|Package|Settings|Step|System packages|Trim|Wheels): "
        r".+[.:] [A-Z].+)$",
        "{}",
        "",
    ),
    (
        rf"{STEP}fatal error: (\S+\.h(?:pp|xx)?): No such file"
        rf"|{STEP}#error\b.*?\b(?:needs?|requires?|missing)\b.*?(\w+\.h)\b",
        "A wheel is compiled here, and the header {} is missing.",
        "Declare the package that has it in dev-dependencies of [tool.sys] in pyproject.toml.",
    ),
    (
        # Meson, pkg-config, CMake and the linker.
        rf"{STEP}Dependency \"(\S+)\" not found, tried"
        rf"|{STEP}Package '?(\S+?)'?,? (?:was|required by .*,) not found"
        rf"|{STEP}No package '(\S+)' found|{STEP}CMake Error.*Could NOT find (\w+) \(missing: "
        rf"|{STEP}cannot find -l(\S+?)(?::|$)",
        "A wheel is compiled here, and the library {} is missing.",
        "Declare the package with its headers in dev-dependencies of [tool.sys] in pyproject.toml.",
    ),
    (
        rf"{STEP}command '(\S+)' failed: No such file|{STEP}unable to execute '(\S+)': No such file"
        rf"|{STEP}No such file or directory: '((?:[\w-]+-)?(?:cc|c\+\+|gcc|g\+\+|gfortran|clang"
        r"|make|cmake|ninja|cargo|rustc|swig|[\w-]+-config))'"
        rf"|{STEP}([a-z][\w-]+-config|pg_config|mysql_config)(?: executable)?:?"
        r" (?:is required|not found)"
        r"|No module named '(pkg-config)'|Can not find valid (pkg-config) name"
        # Meson, CMake, setuptools-rust and maturin.
        rf"|{STEP}Unknown compiler\(s\): \[\['([^']+)'"
        rf"|{STEP}[Nn]o (CMAKE_\w+_COMPILER) could be found|{STEP}can't find (Rust) compiler"
        rf"|{STEP}(?:Cargo|rustc), the (Rust) package manager, is not installed",
        "A wheel is compiled here, and the program {} is missing.",
        "Declare the package that has it in dev-dependencies of [tool.sys] in pyproject.toml.",
    ),
    (
        r"(Unable to read the lock file|The lock file (?:does not have|is not compatible))",
        "poetry.lock cannot be read.",
        "Restore it from Git, or write it anew: nox -s lock -- --regenerate",
    ),
    (
        r"no builder \"?([^\"\s]+)\"? found",
        "There is no builder {}.",
        "See what docker buildx ls lists, and name one of these in BUILDX_BUILDER, or unset it.",
    ),
    (
        r"Unavailable(?: desc = |: )error reading from server: (?:EOF|.*closed|.*reset)",
        "The engine ended while it worked.",
        "Start it again, and run the session once more: what was tagged before is still there.",
    ),
    (
        r"^(?:ERROR: )(?:failed to build: )?(?:failed to (?:list workers|find driver|solve): .*"
        r"(?:connection error|Unavailable)|(?:.*: )?context deadline exceeded)",
        "The builder in use does not answer.",
        "Start it, or build with the engine's own: unset BUILDX_BUILDER; docker buildx use default",
    ),
    (
        r"docker exporter does not (?:currently )?support exporting manifest lists"
        r"|[Mm]ulti-platform build is not supported",
        "An image for several platforms cannot be loaded into this engine.",
        "List them as platforms in [tool.seedpod], or name one in --platform.",
    ),
    (
        r"^(?:(?:#\d+ )?[\d.]+ )?exec (\S+): [Ee]xec format error",
        "{} does not run on this machine: it is for another processor, or a script without a line "
        "like #!/bin/sh.",
        "For another processor install emulators, or name a builder that has it in BUILDX_BUILDER.",
    ),
    (
        r"no match for platform in manifest",
        "The base image is not there for the platform that is built.",
        "Name one in PYTHON_IMAGE that is, or leave the platform out of [tool.seedpod].",
    ),
    (
        r"push and load may not be set together|multiple outputs currently unsupported",
        "The image is loaded into the engine, and this builder has one output at a time.",
        "Leave out --push and --output; or update the builder to BuildKit 0.13 or later.",
    ),
    (
        r"Cache export is not supported for the docker driver"
        r"|(?:unknown|unsupported) cache (?:exporter|importer)",
        "The builder in use cannot keep layers where BUILD_OPTIONS says.",
        "Name one in a container, as docker buildx create makes it, or change --cache-to.",
    ),
    (
        r"(?s)using (?:docker-container|remote|kubernetes|cloud) driver"
        r".*failed to resolve source metadata for ([^\s,]+?)[:,]?\s",
        "The builder in use cannot pull the base image {}: it sees only registries.",
        "Push it to a registry and name it there in PYTHON_IMAGE; or build with the engine's own "
        "builder: unset BUILDX_BUILDER; docker buildx use default",
    ),
    (
        # Bake says so of what it has cancelled, too, in a line with a number.
        r"^(?!#\d+ ).*?(?:Cannot connect to the Docker daemon|error during connect"
        r"|failed to connect to the docker|daemon is not running)",
        "No container engine answers.",
        "Start Docker, or set DOCKER_HOST to the address of a running engine.",
    ),
    (
        r"permission denied while trying to connect",
        "This user may not talk to the container engine.",
        "Join the group docker, or use a rootless engine.",
    ),
    (
        r"legacy builder is deprecated|BuildKit is enabled but the buildx component is missing"
        r"|unknown flag: --secret",
        "This Docker cannot build with BuildKit.",
        "Update it to version 23 or later, or install its buildx plugin.",
    ),
    (
        r"API version|is too old\. Minimum supported|is too new\. Maximum supported",
        "Docker's client and engine do not fit each other.",
        "Update the older one; builds need Docker 23 or later.",
    ),
    (
        r"unknown command: docker compose|'compose' is not a docker command"
        r"|unknown (?:shorthand )?flag: .*\n+See 'docker --help'",
        "This Docker has no compose command.",
        "Install its compose plugin, version 2.20 or later.",
    ),
    (
        r"[Nn]o space left on device",
        "The engine's disk is full.",
        "See what docker system df lists; docker builder prune empties the build cache.",
    ),
    (
        r"failed to resolve source metadata for ([^\s,]+@sha256:[0-9a-f]{64})",
        "The base image {} cannot be pulled by its digest, which sys.lock or PYTHON_IMAGE names.",
        "Check the registry's address and login; nox -s sys_lock writes the digest that there is.",
    ),
    (
        r"(?:failed to resolve source metadata for|pull access denied for) ([^\s,]+?)[:,]?\s",
        "The base image {} cannot be pulled.",
        "Check the registry's address and login, or name an image that you have in its place.",
    ),
    (
        r'short-name "([^"]+)" did not resolve to an alias',
        "Podman does not know which registry has {}.",
        "Write the registry before its name, like docker.io/library/python, in PYTHON_IMAGE.",
    ),
    (
        r"CERTIFICATE_VERIFY_FAILED|invalid peer certificate|certificate signed by unknown",
        "A server shows a certificate that this build does not trust.",
        "Name the file with its authority's certificates in SSL_CERT_FILE.",
    ),
    (
        # Poetry does not say which of both it is.
        r"All attempts to connect to (\S+) failed",
        "The package index at {} does not answer, or its certificate is not trusted.",
        "Check PIP_INDEX_URL, HTTPS_PROXY and SSL_CERT_FILE.",
    ),
    (
        rf"{STEP}(?:NewConnectionError\(.*host='([^']+)'"
        r"|error sending request for url \(\w+://([^/)]+))",
        "The package index at {} does not answer.",
        "Check PIP_INDEX_URL, and HTTPS_PROXY where a proxy leads to it.",
    ),
    (
        # Poetry and pip, then uv.
        r"5\d\d Server Error: .+ for url: (\S+)"
        r"|HTTP status server error \(5\d\d [^)]*\) for url \((\S+)\)",
        "The package index fails at {}.",
        "Try again later: what it says is an error of its own.",
    ),
    (
        r"Source \(PyPI\): Authorization error accessing (\S+)",
        "The package index lets nobody in at {} without the right user and password.",
        "Set PIP_INDEX_URL with both, in the environment or in pip.env.",
    ),
    (
        r"Source \(.+\): Authorization error accessing (\S+)",
        "The package index lets nobody in at {} without the right user and password.",
        "Set POETRY_HTTP_BASIC_NAME_USERNAME and POETRY_HTTP_BASIC_NAME_PASSWORD, with the index's "
        "name, in the environment or in pip.env.",
    ),
    (
        r"No matching distribution found for (\S+)|\b401\b.* for url \((\S+)\)"
        r"|Because (\S+) was not found in the package registry",
        "The package index refuses or lacks {}.",
        "Check PIP_INDEX_URL with its user and password, in the environment or in pip.env.",
    ),
    (
        # Refused, Poetry asks the program git, which is not in its stage.
        r"Failed to clone \S+,|could not read Username for '|Authentication failed for '"
        r"|(?s:Resolving dependencies\.\.\..*No such file or directory: 'git')",
        "A repository of Git does not let this build in.",
        "Set POETRY_REPOSITORIES_NAME_URL to its address, and POETRY_HTTP_BASIC_NAME_USERNAME and "
        "POETRY_HTTP_BASIC_NAME_PASSWORD, in the environment or in pip.env.",
    ),
    (
        r"No such file or directory: 'ssh'",
        "A dependency comes from Git by ssh, for which no build has a key.",
        "Write its address with https in pyproject.toml, and lock again.",
    ),
    (
        r"Path \S+ for (\S+) does not exist",
        "The path dependency {} is not where Poetry runs.",
        "Edit pyproject.toml on this machine, and run nox -s lock there.",
    ),
    (
        r"Git executable not found",
        "A dependency comes from Git, and the program git is missing.",
        'Declare git = "*" in dev-dependencies of [tool.sys] in pyproject.toml.',
    ),
    (
        r"failed to stat (\S+?):",
        "The file {} does not exist.",
        "Correct SSL_CERT_FILE, or unset it.",
    ),
    (
        r"requires Python .*<([\d.]+)\S*, so it will not be installable for Python >=\1"
        r"(?:\.dev0)?\s",
        "A dependency is not made for Python {} and later, which requires-python allows.",
        'Add this end to requires-python in pyproject.toml, like ">=3.13,<4.0", and lock again.',
    ),
    (
        r"- (\S+) requires Python .+, so it will not be installable for Python",
        "The version of {} that is asked for is not made for a Python that requires-python allows.",
        "Allow another version of it in pyproject.toml, and lock again.",
    ),
    (
        r"depends on (\S+) \(.*\) which doesn't match any versions",
        "No version of {} is in the package index that pyproject.toml allows.",
        "Correct its name or version there, or the index in PIP_INDEX_URL.",
    ),
    (
        r"[Cc]urrent Python version \(([\d.]+)\) (?:does not satisfy|is not allowed)"
        r"|Python version ([\d.]+) is not supported by the project",
        "The base image has Python {}, which requires-python in pyproject.toml excludes.",
        "Name another image in PYTHON_IMAGE, or change requires-python and lock again.",
    ),
    (
        r"Bind for ([\d.]+:\d+) failed|listen tcp[46]? ([\d.]+:\d+): bind"
        r"|failed to bind host port (?:for )?([\d.]+:\d+)",
        "The address {} is in use.",
        "Stop what uses it, or choose another port, for example: PORT=8001 nox -s up",
    ),
    (
        r"project name must not be empty",
        "Compose cannot make a name for its containers from that of this folder.",
        "Write COMPOSE_PROJECT_NAME=NAME into .env.",
    ),
    (
        r"dependency failed to start: container \S+?-([a-z\d_]+)-\d+ (?:is unhealthy|exited)",
        "The service {} does not become ready.",
        "Start only it and read its log: nox -s up -- up, and its name.",
    ),
    (
        r"from daemon: network [0-9a-f]{64} not found",
        "A container that was stopped refers to a network that was removed since.",
        "Remove the containers and start again: nox -s up -- down",
    ),
    (
        r"network (\S+) declared as external, but could not be found"
        r"|from daemon: network (\S+) not found",
        "The network {}, which projects share, does not exist.",
        "Make it once: docker network create, and its name.",
    ),
    (
        r"unknown flag: (\S+)|unknown shorthand flag: '\w' in (\S+)",
        "Docker has no option {}.",
        "What follows -- goes to Docker; docker build --help lists what it takes.",
    ),
    (
        r"^(?:error from registry: |ERROR: target \S+: )?"
        r"(?:no basic auth credentials|(?:denied|unauthorized): )"
        r"|failed to push \S+: .*(?:denied|[Uu]nauthorized|no basic auth|authorization failed)",
        "The registry does not let this user push there.",
        "Log in as one who may, with docker login and its address, or correct the repository.",
    ),
    (
        r'(?:Get|Head|Post|Put) "https?://([^/"]+)/v2/[^"]*": (?:dial|net/http|context|EOF|read)',
        "The registry {} does not answer.",
        "Check its address, and whether this machine reaches it.",
    ),
    (
        # docker push, then a builder.
        r"received unexpected HTTP status: 5\d\d"
        r"|unexpected status from \w+ request to \S+/v2/\S+: 5\d\d",
        "The registry fails with an error of its own.",
        "Try again later: a push sends only what is missing.",
    ),
    (
        r"^ERROR: (\S+[:@]\S+): not found$",
        "The registry has no image {}.",
        "Check its name, or push it: nox -s docker_push -- REPOSITORY:TAG",
    ),
    (
        r"repository name \((\S+)\) must be lowercase",
        "The image's name {} has capital letters.",
        "Write it in lower case.",
    ),
)
