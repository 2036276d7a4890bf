# A wheel and its requirements, installed with "pip install --user" and copied with their folder.
ARG PYTHON_IMAGE
FROM ${PYTHON_IMAGE} AS builder
#: build packages
ENV PATH=/root/.local/bin:${PATH}
WORKDIR /app
COPY requirements.txt ./
RUN --mount=type=cache,target=/root/.cache/pip \
    --mount=type=bind,from=network,source=online.sh,target=/online.sh \
    --mount=type=secret,id=ca.pem \
    --mount=type=secret,id=pip.env \
    sh /online.sh pip install --user -r requirements.txt
COPY . .
RUN --mount=type=cache,target=/root/.cache/pip \
    --mount=type=bind,from=network,source=online.sh,target=/online.sh \
    --mount=type=secret,id=ca.pem \
    --mount=type=secret,id=pip.env \
    sh /online.sh pip wheel --no-deps --wheel-dir /wheels . \
    && pip install --user --no-deps --no-index /wheels/*.whl

FROM ${PYTHON_IMAGE}
#: system packages
ENV PATH=/home/app/.local/bin:${PATH} \
    PYTHONUSERBASE=/home/app/.local
COPY --from=builder --chown=65532:65532 /root/.local /home/app/.local
USER 65532:65532
EXPOSE 8000
CMD ["benchapp"]
