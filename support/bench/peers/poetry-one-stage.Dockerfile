# One stage, Poetry installed by pip, as Poetry's own FAQ has it ("Poetry busts my Docker cache"):
# packages first, then the project. The environment lies in the project, so that no shell is needed
# to find its programs. Beyond the FAQ, no cache of pip and Poetry is shipped, and packages have
# bytecode, as those of the other ways.
ARG PYTHON_IMAGE
FROM ${PYTHON_IMAGE}
#: build packages
#: system packages
ARG POETRY
ENV PATH=/app/.venv/bin:${PATH} \
    POETRY_NO_INTERACTION=1 \
    POETRY_VIRTUALENVS_IN_PROJECT=true
WORKDIR /app
COPY pyproject.toml poetry.lock poetry.tom[l] ./
RUN \
    --mount=type=bind,from=network,source=online.sh,target=/online.sh \
    --mount=type=secret,id=ca.pem \
    --mount=type=secret,id=pip.env \
    sh /online.sh pip install --no-cache-dir "poetry==${POETRY}" \
    && sh /online.sh poetry install --only main --no-root --no-directory --compile \
    && rm -rf /root/.cache/pypoetry
COPY LICENS[E] README.md ./
COPY src/ ./src/
RUN \
    --mount=type=bind,from=network,source=online.sh,target=/online.sh \
    --mount=type=secret,id=ca.pem \
    --mount=type=secret,id=pip.env \
    sh /online.sh poetry install --only main --compile \
    && rm -rf /root/.cache/pypoetry
EXPOSE 8000
CMD ["benchapp"]
