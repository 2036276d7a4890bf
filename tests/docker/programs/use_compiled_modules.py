"""Call through libffi, throw through greenlet's C++, and print what came of it."""

import cffi
import greenlet
import psycopg2

ffi = cffi.FFI()
ffi.cdef("int abs(int);")
try:
    greenlet.greenlet(lambda: 1 / 0).switch()
except ZeroDivisionError:
    print(ffi.dlopen(None).abs(-3), psycopg2.__libpq_version__ // 10000)
