"""Ask libmagic, which is no use without the data of another package, what a PDF is."""

import ctypes

magic = ctypes.CDLL("libmagic.so.1")
magic.magic_open.restype = ctypes.c_void_p
magic.magic_buffer.restype = ctypes.c_char_p
cookie = ctypes.c_void_p(magic.magic_open(0))
assert magic.magic_load(cookie, None) == 0
print(magic.magic_buffer(cookie, b"%PDF-1.7", ctypes.c_size_t(8)).decode())
