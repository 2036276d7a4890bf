#!/bin/sh
# Run a command with the network settings that BuildKit mounts as secrets: ca.pem, the certificates
# of an authority, and pip.env, lines like PIP_INDEX_URL=https://… (also PIP_EXTRA_INDEX_URL,
# PIP_TRUSTED_HOST, and Poetry's POETRY_HTTP_BASIC_NAME_USERNAME, POETRY_HTTP_BASIC_NAME_PASSWORD and
# POETRY_REPOSITORIES_NAME_URL). Both may be missing or empty.
set -eu

if [ -s /run/secrets/pip.env ]; then
    # The lines are read, not run: an address may hold any character that a shell knows.
    while IFS= read -r line || [ -n "$line" ]; do
        line=${line%"$(printf '\r')"}
        case $line in
            PIP_INDEX_URL=*) export PIP_INDEX_URL="${line#*=}" UV_DEFAULT_INDEX="${line#*=}" ;;
            PIP_EXTRA_INDEX_URL=*) export PIP_EXTRA_INDEX_URL="${line#*=}" UV_INDEX="${line#*=}" ;;
            PIP_TRUSTED_HOST=*) export PIP_TRUSTED_HOST="${line#*=}" UV_INSECURE_HOST="${line#*=}" ;;
            POETRY_HTTP_BASIC_*=* | POETRY_REPOSITORIES_*=*)
                case ${line%%=*} in *[!A-Z0-9_]*) ;; *) export "${line?}" ;; esac ;;
        esac
    done < /run/secrets/pip.env
fi
if [ -s /run/secrets/ca.pem ]; then
    export SSL_CERT_FILE=/run/secrets/ca.pem PIP_CERT=/run/secrets/ca.pem \
        REQUESTS_CA_BUNDLE=/run/secrets/ca.pem
fi
exec "$@"
