/* utf8: whether bytes are UTF-8 as RFC 3629 has it: no surrogates, nothing overlong, nothing above U+10FFFF. Pure; any thread. */
#ifndef ESTEEM_UTF8_H
#define ESTEEM_UTF8_H

#include <stdbool.h>
#include <stddef.h>

bool utf8_valid(const char *text, size_t length);

#endif
