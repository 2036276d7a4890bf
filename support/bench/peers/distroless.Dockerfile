# An environment made on the slim image, copied onto one without shell and package manager, as the
# example "python3-requirements" of distroless has it. There is no way to add a system package.
ARG PYTHON_IMAGE
ARG DISTROLESS_IMAGE
FROM ${PYTHON_IMAGE} AS build
#: build packages
RUN python3 -m venv /venv
COPY requirements.txt /requirements.txt
RUN --mount=type=cache,target=/root/.cache/pip \
    --mount=type=bind,from=network,source=online.sh,target=/online.sh \
    --mount=type=secret,id=ca.pem \
    --mount=type=secret,id=pip.env \
    sh /online.sh /venv/bin/pip install --disable-pip-version-check -r /requirements.txt
COPY . /app
RUN --mount=type=cache,target=/root/.cache/pip \
    --mount=type=bind,from=network,source=online.sh,target=/online.sh \
    --mount=type=secret,id=ca.pem \
    --mount=type=secret,id=pip.env \
    sh /online.sh /venv/bin/pip install --disable-pip-version-check --no-deps /app

FROM ${DISTROLESS_IMAGE}
COPY --from=build /venv /venv
WORKDIR /app
USER 65532:65532
EXPOSE 8000
ENTRYPOINT ["/venv/bin/python3", "-m", "benchapp"]
