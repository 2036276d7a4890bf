# One stage on the slim image with a cache mount and bind mounts, as "docker init" lays it out for
# Python. It expects modules beside the Dockerfile; the last RUN installs the package in their place.
ARG PYTHON_IMAGE
FROM ${PYTHON_IMAGE} AS base
#: build packages
#: system packages
ENV PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1
WORKDIR /app
ARG UID=10001
RUN echo "appuser:x:${UID}:${UID}::/nonexistent:/sbin/nologin" >> /etc/passwd
RUN --mount=type=cache,target=/root/.cache/pip \
    --mount=type=bind,source=requirements.txt,target=requirements.txt \
    --mount=type=bind,from=network,source=online.sh,target=/online.sh \
    --mount=type=secret,id=ca.pem \
    --mount=type=secret,id=pip.env \
    sh /online.sh python -m pip install -r requirements.txt
COPY . .
RUN --mount=type=cache,target=/root/.cache/pip \
    --mount=type=bind,from=network,source=online.sh,target=/online.sh \
    --mount=type=secret,id=ca.pem \
    --mount=type=secret,id=pip.env \
    sh /online.sh python -m pip install --no-deps .
USER appuser
EXPOSE 8000
CMD ["benchapp"]
