#!/bin/sh
# Lay out the files of the packages that are not compiled, under /packages/NAME.
#
# GCC, binutils, make and pkgconf are Debian's programs. They and the glibc that they need lie in a
# folder of their own, where they disturb nothing; what they produce knows only Alpine's musl.
set -eu

private=/usr/libexec/debian
gcc=/usr/lib/gcc/x86_64-linux-gnu/14
gcc_programs=/usr/libexec/gcc/x86_64-linux-gnu/14

# private_files PACKAGE FILE…: copy files into the private folder, and make programs look there.
private_files() {
    root=/packages/$1$private
    shift
    mkdir -p "$root"
    cp --dereference --recursive --parents "$@" "$root"
    for file; do
        interpreter=$(patchelf --print-interpreter "$file" 2>/dev/null) || continue
        ldd "$file" | grep --only-matching '/[^ ]*' >> /tmp/libraries
        # The older kind of search path, which holds for the libraries' own needs, too.
        patchelf --set-interpreter "$private/lib/${interpreter##*/}" \
            --force-rpath --set-rpath "$private/lib" "$root$file"
    done
}

# commands PACKAGE TARGET NAME…: make links in /usr/bin; TARGET/ stands for TARGET/NAME.
commands() {
    folder=/packages/$1/usr/bin
    target=$2
    shift 2
    mkdir -p "$folder"
    for name; do
        case $target in
            */) ln -s "$target$name" "$folder/$name" ;;
            *) ln -s "$target" "$folder/$name" ;;
        esac
    done
}

# enter PACKAGE: make the folders for headers and libraries of a package, and go there.
enter() {
    mkdir -p "/packages/$1/usr/include" "/packages/$1/usr/lib"
    cd "/packages/$1/usr"
}

binutils='addr2line ar as nm objcopy objdump ld ranlib readelf size strings strip'
# shellcheck disable=SC2046,SC2086
private_files binutils $(printf '/usr/bin/%s ' $binutils)
# shellcheck disable=SC2046,SC2086
commands binutils "$private/usr/bin/" $binutils

private_files gcc /usr/bin/cpp-14 /usr/bin/gcc-14 "$gcc"/crt*.o "$gcc"/libgcc*.a \
    "$gcc/libgcc_s.so" "$gcc/libgomp.spec" "$gcc/include" "$gcc_programs/cc1" "$gcc_programs/collect2" \
    "$gcc_programs/liblto_plugin.so" "$gcc_programs/lto-wrapper"
install -D --mode=755 /recipe/driver.sh "/packages/gcc$private/driver"
commands gcc "$private/driver" cc cpp gcc
mkdir -p /packages/gcc/usr/lib
ln -s libgomp.so.1 /packages/gcc/usr/lib/libgomp.so

private_files g++ /usr/bin/g++-14 "$gcc_programs/cc1plus"
commands g++ "$private/driver" c++ g++

private_files make /usr/bin/make
commands make "$private/usr/bin/" make

private_files pkgconf /usr/bin/pkgconf
install -D --mode=755 /recipe/driver.sh "/packages/pkgconf$private/pkgconf-driver"
commands pkgconf "$private/pkgconf-driver" pkg-config pkgconf

mkdir -p "/packages/seedpod-glibc$private/lib"
sort --unique /tmp/libraries | xargs cp --dereference --target-directory \
    "/packages/seedpod-glibc$private/lib"

# Alpine's own libraries, as wheels carry them: under other names, which they lose here.
mkdir -p /packages/wheels/usr/lib
cd /packages/wheels/usr/lib
renames=
for file in /wheels/*; do
    name=${file##*/}
    version=${name#*.so.}
    renames="$renames --replace-needed $name ${name%-*}.so.${version%%.*}"
done
for file in /wheels/*; do
    name=${file##*/}
    version=${name#*.so.}
    library=${name%-*}.so.$version
    soname=${name%-*}.so.${version%%.*}
    install --mode=755 "$file" "$library"
    # shellcheck disable=SC2086
    patchelf $renames --set-soname "$soname" --remove-rpath "$library"
    [ "$library" = "$soname" ] || ln -s "$library" "$soname"
done

# The C++ headers describe glibc in five places; for two of them see headers/.
enter libstdc++-dev
ln -s libstdc++.so.6 lib/libstdc++.so
cp --recursive /usr/include/c++ include
mv include/c++/14 include/c++/14.2.0
target=include/c++/14.2.0/x86_64-alpine-linux-musl
cp --recursive /usr/include/x86_64-linux-gnu/c++/14 "$target"
cp /recipe/headers/ctype_base.h /recipe/headers/ctype_inline.h "$target/bits"
sed --in-place \
    -e 's/typedef __locale_t/typedef int*/' \
    -e 's/_GLIBCXX_NUM_CATEGORIES 6/_GLIBCXX_NUM_CATEGORIES 0/' \
    -e '/_GLIBCXX_C_LOCALE_GNU/d' \
    "$target/bits/c++locale.h"
sed --in-place -E \
    -e '/_GLIBCXX_USE_PTHREAD_(COND_CLOCKWAIT|MUTEX_CLOCKLOCK|RWLOCK_CLOCKLOCK)/d' \
    -e '/_GLIBCXX_USE_UCHAR_C8RTOMB_MBRTOC8/d' \
    "$target/bits/c++config.h"
sed --in-place \
    '/^#include <features.h>/a #define __GLIBC_PREREQ(a, b) 0\n#define _GLIBCXX_GTHREAD_USE_WEAK 0' \
    "$target/bits/os_defines.h"

enter musl-dev
cp --recursive /usr/include/x86_64-linux-musl/. include
cp /usr/lib/x86_64-linux-musl/*.[ao] lib
ln -s ../../lib/ld-musl-x86_64.so.1 lib/libc.so

enter linux-headers
# Not scsi: musl has headers of its own for it.
for folder in asm-generic drm linux misc mtd rdma sound video xen; do
    cp --dereference --recursive "/usr/include/$folder" include
done
cp --dereference --recursive /usr/include/x86_64-linux-gnu/asm include

enter zlib-dev
cp /usr/include/zlib.h /usr/include/zconf.h include
ln -s libz.so.1 lib/libz.so

enter openssl-dev
cp --recursive /usr/include/openssl include
cp /usr/include/x86_64-linux-gnu/openssl/*.h include/openssl
# Alpine's OpenSSL is built without it.
echo '#define OPENSSL_NO_COMP' >> include/openssl/configuration.h
ln -s libssl.so.3 lib/libssl.so
ln -s libcrypto.so.3 lib/libcrypto.so

enter libpq-dev
cp --recursive /usr/include/postgresql/. include
ln -s libpq.so.5 lib/libpq.so
install -D --mode=755 /recipe/pg_config.sh bin/pg_config

# pkgconfig PACKAGE NAME…: take Debian's descriptions, with Alpine's folders.
pkgconfig() {
    folder=/packages/$1/usr/lib/pkgconfig
    shift
    mkdir -p "$folder"
    for name; do
        sed 's,/x86_64-linux-gnu,,; s,/include/postgresql,/include,' \
            "/usr/lib/x86_64-linux-gnu/pkgconfig/$name.pc" > "$folder/$name.pc"
    done
}

pkgconfig libpq-dev libpq
pkgconfig openssl-dev libcrypto libssl openssl
pkgconfig zlib-dev zlib

mkdir -p /packages/tzdata/usr/share
cp --archive /usr/share/zoneinfo /packages/tzdata/usr/share

mkdir /versions
for name in binutils gcc-14 libc6 libpq-dev linux-libc-dev make pkgconf tzdata; do
    # Less the epoch and Debian's own counter.
    dpkg-query --show --showformat '${Version}\n' "$name" | sed 's/^[0-9]*://; s/-[^-]*$//' \
        > "/versions/$name"
done
