# Two stages: Poetry makes an environment in the first, with a cache mount, and the second copies it.
ARG PYTHON_IMAGE
FROM ${PYTHON_IMAGE} AS builder
#: build packages
ARG POETRY
ENV POETRY_CACHE_DIR=/tmp/poetry \
    POETRY_NO_INTERACTION=1 \
    POETRY_VIRTUALENVS_IN_PROJECT=true
RUN \
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
    sh /online.sh poetry install --only main --no-root --no-directory
COPY LICENS[E] README.md ./
COPY src/ ./src/
RUN --mount=type=cache,target=/tmp/poetry \
    --mount=type=bind,from=network,source=online.sh,target=/online.sh \
    --mount=type=secret,id=ca.pem \
    --mount=type=secret,id=pip.env \
    sh /online.sh poetry install --only main

FROM ${PYTHON_IMAGE}
#: system packages
ENV PATH=/app/.venv/bin:${PATH} \
    VIRTUAL_ENV=/app/.venv
WORKDIR /app
COPY --from=builder /app/.venv /app/.venv
COPY src/ ./src/
USER 65532:65532
EXPOSE 8000
CMD ["benchapp"]
