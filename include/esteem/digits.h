/* digits: integers as decimal text. Pure; any thread. */
#ifndef ESTEEM_DIGITS_H
#define ESTEEM_DIGITS_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

enum { DIGITS_MAX = 20 }; /* of a uint64_t; a sign is one more */

static const char digits_pairs[] = "00010203040506070809101112131415161718192021222324252627282930313233343536373839404142434445464748495051525354555657585960616263646566676869"
                                   "707172737475767778798081828384858687888990919293949596979899";

/* Returns how many there are; no zero byte follows. */
static inline size_t digits_put(uint64_t value, char *out)
{
    if (value < 10) {
        *out = (char)('0' + value);
        return 1;
    }
    char text[DIGITS_MAX], *at = text + sizeof text;
    for (; value >= 100; value /= 100)
        memcpy(at -= 2, digits_pairs + value % 100 * 2, 2);
    if (value >= 10)
        memcpy(at -= 2, digits_pairs + value * 2, 2);
    else
        *--at = (char)('0' + value);
    size_t count = (size_t)(text + sizeof text - at);
    memcpy(out, at, count);
    return count;
}

static inline size_t digits_put_signed(int64_t value, char *out)
{
    size_t sign = value < 0;
    *out = '-';
    return sign + digits_put(sign ? 0 - (uint64_t)value : (uint64_t)value, out + sign);
}

#endif
