/* What expat's own configure script would find in Alpine; CPython's copy has it from pyconfig.h. */
#ifndef EXPAT_CONFIG_H
#define EXPAT_CONFIG_H 1
#define BYTEORDER 1234
#define HAVE_UNISTD_H 1
#define XML_CONTEXT_BYTES 1024
#define XML_DTD 1
#define XML_GE 1
#define XML_NS 1
/* Later copies lack the files for other sources of randomness; CPython sets the salt itself. */
#define XML_POOR_ENTROPY 1
#endif
