#!/bin/sh
# Runs Debian's gcc, g++, cpp or pkgconf so that it behaves as Alpine's own would.
folder=/usr/libexec/debian/usr/bin
cxx=/usr/include/c++/14.2.0

case ${0##*/} in
    pkgconf | pkg-config)
        # The folders that are compiled into Debian's are those of another system.
        : "${PKG_CONFIG_LIBDIR=/usr/local/lib/pkgconfig:/usr/lib/pkgconfig:/usr/share/pkgconfig}"
        export PKG_CONFIG_LIBDIR
        PKG_CONFIG_SYSTEM_LIBRARY_PATH=/lib:/usr/lib exec "$folder/pkgconf" "$@"
        ;;
esac

case $* in
    -dumpmachine) echo x86_64-alpine-linux-musl && exit ;;
    *-print-multiarch*) echo && exit ;;
esac
# As in Alpine, the C library's headers come before the compiler's.
set -- -isystem /usr/local/include -isystem /usr/include "$@"
case ${0##*/} in
    c++ | g++)
        program=g++-14
        set -- -nostdinc++ -isystem "$cxx" -isystem "$cxx/x86_64-alpine-linux-musl" \
            -isystem "$cxx/backward" "$@"
        ;;
    cpp) program=cpp-14 ;;
    *) program=gcc-14 ;;
esac
exec "$folder/$program" -mmusl -B"$folder" "$@"
