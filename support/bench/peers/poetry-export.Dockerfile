# "poetry export" in one stage, pip in the next, as FastAPI's documentation had it for Poetry. The
# project itself is installed, too: it asks for its own version. Cache mounts take the place of pip's
# --no-cache-dir; an export downloads nothing, so that Poetry's cache needs none.
ARG PYTHON_IMAGE
FROM ${PYTHON_IMAGE} AS requirements-stage
ARG POETRY
WORKDIR /tmp
RUN --mount=type=cache,target=/root/.cache/pip \
    --mount=type=bind,from=network,source=online.sh,target=/online.sh \
    --mount=type=secret,id=ca.pem \
    --mount=type=secret,id=pip.env \
    sh /online.sh pip install "poetry==${POETRY}" poetry-plugin-export
COPY pyproject.toml poetry.lock /tmp/
RUN poetry export --format requirements.txt --output requirements.txt

FROM ${PYTHON_IMAGE}
#: build packages
#: system packages
WORKDIR /code
COPY --from=requirements-stage /tmp/requirements.txt /code/requirements.txt
RUN --mount=type=cache,target=/root/.cache/pip \
    --mount=type=bind,from=network,source=online.sh,target=/online.sh \
    --mount=type=secret,id=ca.pem \
    --mount=type=secret,id=pip.env \
    sh /online.sh pip install --upgrade -r /code/requirements.txt
COPY . /code/
RUN --mount=type=cache,target=/root/.cache/pip \
    --mount=type=bind,from=network,source=online.sh,target=/online.sh \
    --mount=type=secret,id=ca.pem \
    --mount=type=secret,id=pip.env \
    sh /online.sh pip install --no-deps .
EXPOSE 8000
CMD ["benchapp"]
