#!/bin/sh
# Install the locked packages of /wheels/requirements.txt, by default into the virtual environment;
# arguments are options of uv, like "--prefix /opt/test".
set -eu

if [ -e /wheels/refused.txt ]; then
    cat /wheels/refused.txt >&2
    exit 1
fi
# A wheel that was compiled with other headers has the same name, so each key has a cache.
UV_CACHE_DIR=/root/.cache/uv/$(cat /metadata/compile-key.txt)
export UV_CACHE_DIR
# The hashes decide what is installed, so it does not matter which of several indexes has it.
online uv pip install --compile-bytecode --no-deps --index-strategy unsafe-best-match \
    --require-hashes --requirements /wheels/requirements.txt "$@"
# uv's own, of no use in an image.
rm -f "${VIRTUAL_ENV:?}/.lock" /opt/test/.lock
