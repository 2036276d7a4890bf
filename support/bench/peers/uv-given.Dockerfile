# Two stages as uv's makers document them ("Using uv in Docker" and the example beside it): cache
# mounts, packages before the project, bytecode, no editable install, the environment alone copied.
# The first stage starts from an image that has uv already.
ARG PYTHON_IMAGE
ARG UV_IMAGE
FROM ${UV_IMAGE} AS builder
#: build packages
ENV UV_COMPILE_BYTECODE=1 \
    UV_LINK_MODE=copy \
    UV_NO_DEV=1 \
    UV_PYTHON_DOWNLOADS=0
WORKDIR /app
RUN --mount=type=cache,target=/root/.cache/uv \
    --mount=type=bind,source=uv.lock,target=uv.lock \
    --mount=type=bind,source=pyproject.toml,target=pyproject.toml \
    --mount=type=bind,from=network,source=online.sh,target=/online.sh \
    --mount=type=secret,id=ca.pem \
    --mount=type=secret,id=pip.env \
    sh /online.sh uv sync --locked --no-install-project --no-editable
COPY . /app
RUN --mount=type=cache,target=/root/.cache/uv \
    --mount=type=bind,from=network,source=online.sh,target=/online.sh \
    --mount=type=secret,id=ca.pem \
    --mount=type=secret,id=pip.env \
    sh /online.sh uv sync --locked --no-editable

FROM ${PYTHON_IMAGE}
#: system packages
ENV PATH=/app/.venv/bin:${PATH}
COPY --from=builder --chown=65532:65532 /app/.venv /app/.venv
USER 65532:65532
EXPOSE 8000
CMD ["benchapp"]
