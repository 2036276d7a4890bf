# CPython compiled into /usr/local the way docker-library does for the official image, for tests of
# that layout where no registry answers. Left out: PGO and LTO, which would take half an hour, and
# what takes minutes without a test that needs it: optimization, test modules, bytecode.
ARG DEBIAN_IMAGE
FROM ${DEBIAN_IMAGE} AS build
RUN apt-get update --error-on=any \
    && apt-get install --yes --no-install-recommends \
        gcc \
        libbz2-dev \
        libc6-dev \
        libffi-dev \
        liblzma-dev \
        libncurses-dev \
        libreadline-dev \
        libsqlite3-dev \
        libssl-dev \
        make \
        uuid-dev \
        xz-utils \
        zlib1g-dev
WORKDIR /source
COPY *.orig.tar.?z ./
RUN tar --extract --strip-components=1 --file ./*.orig.tar.?z \
    && ./configure \
        --enable-loadable-sqlite-extensions \
        --enable-option-checking=fatal \
        --disable-test-modules \
        --enable-shared \
        --with-ensurepip \
        OPT="-DNDEBUG -O1" \
    && make --silent --jobs="$(nproc)" LDFLAGS="-Wl,--strip-all" \
    && make --silent install COMPILEALL_OPTS="-x ." \
    && find /usr/local -depth \( \
        \( -type d -a \( -name test -o -name tests -o -name idle_test \) \) \
        -o \( -type f -a \( -name '*.pyc' -o -name 'libpython*.a' \) \) \
    \) -exec rm -rf '{}' +

FROM ${DEBIAN_IMAGE}
ENV PATH=/usr/local/bin:/usr/local/sbin:/usr/sbin:/usr/bin:/sbin:/bin
RUN apt-get update --error-on=any \
    && apt-get install --yes --no-install-recommends \
        libbz2-1.0 \
        libffi8 \
        liblzma5 \
        libncursesw6 \
        libreadline8t64 \
        libsqlite3-0 \
        libssl3t64 \
        libuuid1 \
        zlib1g \
    && rm -rf /var/lib/apt/lists/* /var/log/* /var/cache/*
COPY --from=build /usr/local /usr/local
RUN ldconfig && ln -s python3 /usr/local/bin/python
ARG RECIPE
LABEL seedpod.recipe=${RECIPE}
CMD ["python3"]
