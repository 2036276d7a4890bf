#!/bin/sh
# Poetry, through the Simple API of the index in use: closed networks often serve nothing else, and
# Poetry's own client for its default index asks for JSON.
set -eu

if [ -z "${POETRY_PYPI_MIRROR_URL:-}" ]; then
    default='from poetry.repositories.pypi_repository import PyPiRepository as P; print(P().url)'
    POETRY_PYPI_MIRROR_URL=${PIP_INDEX_URL:-$(/opt/poetry/bin/python3 -c "$default")}
    export POETRY_PYPI_MIRROR_URL
fi
# In a container of compose the certificates are a secret, too.
exec online /opt/poetry/bin/poetry "$@"
