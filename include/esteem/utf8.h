/* utf8: whether bytes are UTF-8 as RFC 3629 has it (no surrogates, nothing overlong, nothing above U+10FFFF), and what a file is that is not.
 * Pure; any thread. */
#ifndef ESTEEM_UTF8_H
#define ESTEEM_UTF8_H

#include <stdbool.h>
#include <stddef.h>

bool utf8_valid(const char *text, size_t length);

/* How a file begins. Returns how many bytes to pass over, those of a byte order mark; -1: so few bytes do not settle it. `*other`: what
 * the file is instead of a text of UTF-8, and the fix; NULL: nothing else that is known. */
int utf8_begin(const char *text, size_t length, const char **other);

#endif
