# What the peers' makers publish and no registry has here, made beforehand and not timed. Every image
# has a number in its lowest layer of its own, which the build cache does not know. It is in
# os-release, too, which a root file system that is assembled out of the image's files takes over.
ARG PYTHON_IMAGE

# A stand-in for the official image lacks one of its names for pip.
FROM ${PYTHON_IMAGE} AS python
RUN command -v pip > /dev/null || ln -s pip3 /usr/local/bin/pip

FROM python AS base
ARG NUMBER
RUN echo "${NUMBER}" > /number && echo "BENCH=${NUMBER}" >> /etc/os-release

# uv's own image holds the program alone.
FROM ${PYTHON_IMAGE} AS uv-download
ARG UV
RUN --mount=type=cache,target=/root/.cache/pip \
    --mount=type=bind,from=network,source=online.sh,target=/online.sh \
    --mount=type=secret,id=ca.pem \
    --mount=type=secret,id=pip.env \
    sh /online.sh python3 -m venv /opt/download \
    && sh /online.sh /opt/download/bin/pip install --quiet "uv==${UV}"

FROM base AS uv
COPY --from=uv-download /opt/download/bin/uv /bin/

# The image beside the slim one, with compilers and headers.
FROM python AS compilers
RUN command -v apt-get > /dev/null || exit 0; \
    apt-get update && apt-get install --yes --no-install-recommends \
        build-essential git libffi-dev libpq-dev libssl-dev pkg-config \
    && rm -rf /var/lib/apt/lists/*

FROM compilers AS fat
ARG NUMBER
RUN echo "${NUMBER}" > /number && echo "BENCH=${NUMBER}" >> /etc/os-release

# Like gcr.io/distroless/python3: packages' own files, Python, no shell, no package manager.
FROM ${PYTHON_IMAGE} AS distroless-files
RUN command -v dpkg > /dev/null || exec mkdir /target; \
    dpkg --listfiles $(dpkg-query --show --showformat '${Package}\n' | grep -E \
        '^(base-files|ca-certificates|netbase|tzdata|libbz2-1|libc6|libcom-err2|libcrypt1|libdb5|libexpat1|libffi8|libgcc-s1|liblzma5|libncursesw6|libpython3|libreadline8|libsqlite3|libssl3|libstdc|libtinfo6|libuuid1|libzstd1|python3($|-minimal)|python3\.[0-9]+($|-minimal)|zlib1g)') \
        | sort --unique > /all \
    && { find /usr/local/bin/python* /usr/local/lib/libpython3* /usr/local/lib/python3* 2> /dev/null \
        | grep -vE '/(ensurepip|idlelib|site-packages/pip|test)(/|$)' || true; } >> /all \
    && printf '%s\n' /bin /etc/group /etc/ld.so.cache /etc/passwd /etc/ssl/certs/ca-certificates.crt \
        /lib /lib64 /sbin >> /all \
    && while read -r name; do \
        if [ -L "${name}" ] || [ -f "${name}" ]; then echo "${name}"; fi; \
    done < /all > /files \
    && mkdir -p /target/tmp && chmod 1777 /target/tmp \
    && tar --create --no-recursion --files-from /files 2> /dev/null | tar --extract --directory /target

FROM scratch AS distroless
COPY --from=distroless-files /target/ /
COPY --from=base /number /number

# Writes what tools of the peers read, out of poetry.lock.
FROM ${PYTHON_IMAGE} AS locking
ARG UV
ARG POETRY
RUN --mount=type=cache,target=/root/.cache/pip \
    --mount=type=bind,from=network,source=online.sh,target=/online.sh \
    --mount=type=secret,id=ca.pem \
    --mount=type=secret,id=pip.env \
    python3 -m venv /opt/poetry \
    && sh /online.sh /opt/poetry/bin/pip install --quiet \
        "poetry==${POETRY}" poetry-plugin-export "uv==${UV}"
WORKDIR /project
COPY . /project
RUN --mount=type=cache,target=/root/.cache/uv \
    --mount=type=bind,from=network,source=online.sh,target=/online.sh \
    --mount=type=secret,id=ca.pem \
    --mount=type=secret,id=pip.env \
    /opt/poetry/bin/poetry export --output /requirements.txt \
    && sh /online.sh /opt/poetry/bin/uv lock --python "$(command -v python3)"

FROM scratch AS locks
COPY --from=locking /requirements.txt /project/uv.lock /
