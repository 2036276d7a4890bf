# The stages of uv-given.Dockerfile, but uv comes by pip, as where no image of uv can be had.
ARG PYTHON_IMAGE
FROM ${PYTHON_IMAGE} AS builder
ARG UV
RUN --mount=type=cache,target=/root/.cache/pip \
    --mount=type=bind,from=network,source=online.sh,target=/online.sh \
    --mount=type=secret,id=ca.pem \
    --mount=type=secret,id=pip.env \
    sh /online.sh pip install "uv==${UV}"
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
