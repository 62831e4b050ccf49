#include "esteem/utf8.h"

bool utf8_valid(const char *text, size_t length)
{
    const unsigned char *at = (const unsigned char *)text, *end = at + length;
    while (at < end) {
        if (*at < 0x80) {
            at++;
            continue;
        }
        unsigned char low = 0x80, high = 0xbf; /* bounds of the second byte */
        int more;
        if (*at >= 0xc2 && *at <= 0xdf) {
            more = 1;
        } else if (*at >= 0xe0 && *at <= 0xef) {
            more = 2;
            low = *at == 0xe0 ? 0xa0 : low;
            high = *at == 0xed ? 0x9f : high;
        } else if (*at >= 0xf0 && *at <= 0xf4) {
            more = 3;
            low = *at == 0xf0 ? 0x90 : low;
            high = *at == 0xf4 ? 0x8f : high;
        } else {
            return false;
        }
        if (end - at <= more || at[1] < low || at[1] > high) {
            return false;
        }
        for (int i = 2; i <= more; i++) {
            if (at[i] < 0x80 || at[i] > 0xbf) {
                return false;
            }
        }
        at += more + 1;
    }
    return true;
}
