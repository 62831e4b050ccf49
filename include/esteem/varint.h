/* varint: unsigned integers in 1 to 10 bytes, seven bits a byte, the low ones first; zigzag folds signed ones into them. For bytes
 * of our own making: varint_get trusts what it reads. Pure; any thread. */
#ifndef ESTEEM_VARINT_H
#define ESTEEM_VARINT_H

#include <stdint.h>

enum { VARINT_MAX = 10 }; /* bytes */

static inline uint8_t *varint_put(uint8_t *at, uint64_t value)
{
    while (value >= 0x80) {
        *at++ = (uint8_t)(value | 0x80);
        value >>= 7;
    }
    *at++ = (uint8_t)value;
    return at;
}

static inline const uint8_t *varint_get(const uint8_t *at, uint64_t *value)
{
    uint64_t v = *at++;
    if (v >= 0x80) {
        v &= 0x7f;
        for (unsigned shift = 7;; shift += 7) {
            uint64_t byte = *at++;
            v |= (byte & 0x7f) << shift;
            if (byte < 0x80)
                break;
        }
    }
    *value = v;
    return at;
}

static inline uint64_t zigzag(int64_t value)
{
    return ((uint64_t)value << 1) ^ (uint64_t)(value >> 63);
}

static inline int64_t unzigzag(uint64_t value)
{
    return (int64_t)(value >> 1) ^ -(int64_t)(value & 1);
}

#endif
