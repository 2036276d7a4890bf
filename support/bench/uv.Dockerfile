# What the benchmark compares with: the multi-stage Dockerfile that uv's documentation recommends
# ("Using uv in Docker": intermediate layers, caching, bytecode, non-editable installs), for the
# project that Seedpod makes. Beside it stands only what a closed network needs, in online.sh.
ARG PYTHON_IMAGE
ARG UV_IMAGE=uv

# The benchmark builds the first two stages beforehand and does not time them. The base is one that
# the build cache does not know; the other is what uv's makers publish, a base image with uv in it.
FROM ${PYTHON_IMAGE} AS base
ARG NUMBER
RUN echo "${NUMBER}" > /number

FROM ${PYTHON_IMAGE} AS uv
COPY --from=bench-tools /opt/tools/bin/uv /usr/local/bin/

FROM ${UV_IMAGE} AS start
ENV UV_COMPILE_BYTECODE=1 \
    UV_LINK_MODE=copy \
    UV_PYTHON_DOWNLOADS=0
WORKDIR /app

FROM bench-tools AS locking
WORKDIR /app
COPY docker/bin/online.sh /docker/
COPY pyproject.toml ./
RUN --mount=type=cache,target=/root/.cache/uv \
    --mount=type=secret,id=ca.pem \
    --mount=type=secret,id=pip.env \
    sh /docker/online.sh uv lock

FROM scratch AS lock
COPY --from=locking /app/uv.lock /

FROM start AS builder
RUN --mount=type=cache,target=/root/.cache/uv \
    --mount=type=secret,id=ca.pem \
    --mount=type=secret,id=pip.env \
    --mount=type=bind,source=docker/bin/online.sh,target=/online.sh \
    --mount=type=bind,source=uv.lock,target=uv.lock \
    --mount=type=bind,source=pyproject.toml,target=pyproject.toml \
    sh /online.sh uv sync --locked --no-install-project --no-dev --no-editable
COPY . /app
RUN --mount=type=cache,target=/root/.cache/uv \
    --mount=type=secret,id=ca.pem \
    --mount=type=secret,id=pip.env \
    --mount=type=bind,source=docker/bin/online.sh,target=/online.sh \
    sh /online.sh uv sync --locked --no-dev --no-editable

FROM ${PYTHON_IMAGE} AS production
COPY --from=builder --chown=65532:65532 /app/.venv /app/.venv
ENV PATH=/app/.venv/bin:${PATH}
USER 65532:65532
ENTRYPOINT ["python3"]
