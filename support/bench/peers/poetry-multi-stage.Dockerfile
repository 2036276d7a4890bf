# Two stages: Poetry makes an environment in the first, with cache mounts, and the second copies it.
# Sources are compiled as well: the project is installed in editable mode, which Poetry leaves as is.
ARG PYTHON_IMAGE
FROM ${PYTHON_IMAGE} AS builder
#: build packages
ARG POETRY
ENV POETRY_CACHE_DIR=/tmp/poetry \
    POETRY_NO_INTERACTION=1 \
    POETRY_VIRTUALENVS_IN_PROJECT=true
RUN --mount=type=cache,target=/root/.cache/pip \
    --mount=type=bind,from=network,source=online.sh,target=/online.sh \
    --mount=type=secret,id=ca.pem \
    --mount=type=secret,id=pip.env \
    sh /online.sh pip install "poetry==${POETRY}"
WORKDIR /app
COPY pyproject.toml poetry.lock poetry.tom[l] ./
RUN --mount=type=cache,target=/tmp/poetry \
    --mount=type=bind,from=network,source=online.sh,target=/online.sh \
    --mount=type=secret,id=ca.pem \
    --mount=type=secret,id=pip.env \
    sh /online.sh poetry install --only main --no-root --no-directory --compile
COPY LICENS[E] README.md ./
COPY src/ ./src/
RUN --mount=type=cache,target=/tmp/poetry \
    --mount=type=bind,from=network,source=online.sh,target=/online.sh \
    --mount=type=secret,id=ca.pem \
    --mount=type=secret,id=pip.env \
    sh /online.sh poetry install --only main --compile \
    && python -m compileall -q src

FROM ${PYTHON_IMAGE}
#: system packages
ENV PATH=/app/.venv/bin:${PATH} \
    VIRTUAL_ENV=/app/.venv
WORKDIR /app
COPY --from=builder /app/.venv /app/.venv
COPY --from=builder /app/src ./src/
USER 65532:65532
EXPOSE 8000
CMD ["benchapp"]
