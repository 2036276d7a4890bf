#!/bin/sh
# Answers what builds of PostgreSQL's clients ask.
case $1 in
    --bindir) echo /usr/bin ;;
    --includedir | --pkgincludedir) echo /usr/include ;;
    --includedir-server) echo /usr/include/postgresql/server ;;
    --libdir | --pkglibdir) echo /usr/lib ;;
    --cppflags | --ldflags) echo ;;
    --version) sed -n 's/^Version:/PostgreSQL/p' /usr/lib/pkgconfig/libpq.pc ;;
    *) exit 1 ;;
esac
