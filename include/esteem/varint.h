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
    /* A byte that is not the last has its high bit in the sum: the next one takes it out. Three bytes hold nearly all that there is. */
    uint64_t v = at[0];
    if (at[0] < 0x80) {
        *value = v;
        return at + 1;
    }
    v += ((uint64_t)at[1] << 7) - 0x80;
    if (at[1] < 0x80) {
        *value = v;
        return at + 2;
    }
    v += ((uint64_t)at[2] << 14) - (UINT64_C(0x80) << 7);
    at += 2;
    for (unsigned shift = 14; *at++ >= 0x80; shift += 7)
        v += ((uint64_t)*at << (shift + 7)) - (UINT64_C(0x80) << shift);
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
