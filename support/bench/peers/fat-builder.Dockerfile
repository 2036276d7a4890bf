# A fat image, with compilers, makes the environment; a thin one gets it. Python's documentation for
# images calls them "python" and "python:slim".
ARG PYTHON_IMAGE
ARG FAT_IMAGE
FROM ${FAT_IMAGE} AS builder
ENV PATH=/opt/venv/bin:${PATH}
RUN python3 -m venv /opt/venv
WORKDIR /app
COPY requirements.txt ./
RUN --mount=type=cache,target=/root/.cache/pip \
    --mount=type=bind,from=network,source=online.sh,target=/online.sh \
    --mount=type=secret,id=ca.pem \
    --mount=type=secret,id=pip.env \
    sh /online.sh pip install -r requirements.txt
COPY . .
RUN --mount=type=cache,target=/root/.cache/pip \
    --mount=type=bind,from=network,source=online.sh,target=/online.sh \
    --mount=type=secret,id=ca.pem \
    --mount=type=secret,id=pip.env \
    sh /online.sh pip install --no-deps .

FROM ${PYTHON_IMAGE}
#: system packages
ENV PATH=/opt/venv/bin:${PATH}
COPY --from=builder /opt/venv /opt/venv
USER 65532:65532
EXPOSE 8000
CMD ["benchapp"]
