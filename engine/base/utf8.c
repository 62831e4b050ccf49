#include "esteem/utf8.h"

#include <string.h>

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

/* How files begin that are no text of UTF-8: each of their lines would be refused. */
static const struct mark {
    const char *at;
    size_t length;
    const char *what; /* NULL: it is passed over */
} marks[] = {
    {"\xef\xbb\xbf", 3, NULL}, /* a byte order mark belongs to the file, not to its first line */
    {"\x1f\x8b", 2, "is compressed by gzip; unpack it: zcat it into a file, or a feed into a pipe and read -, standard input"},
    {"\x28\xb5\x2f\xfd", 4, "is compressed by zstd; unpack it: zstdcat it into a file, or a feed into a pipe and read -, standard input"},
    {"\xfd""7zXZ", 5, "is compressed by xz; unpack it: xzcat it into a file, or a feed into a pipe and read -, standard input"},
    {"PK\x03\x04", 4, "is a zip file, as spreadsheets are; export it as CSV, or unpack it"},
    {"\xff\xfe", 2, "is UTF-16; make it UTF-8: iconv -f UTF-16 -t UTF-8"},
    {"\xfe\xff", 2, "is UTF-16; make it UTF-8: iconv -f UTF-16 -t UTF-8"},
};

int utf8_begin(const char *text, size_t length, const char **other)
{
    *other = NULL;
    for (const struct mark *mark = marks; mark < marks + sizeof marks / sizeof *marks; mark++) {
        if (memcmp(text, mark->at, length < mark->length ? length : mark->length) != 0)
            continue;
        if (length >= mark->length)
            *other = mark->what;
        return length < mark->length ? -1 : mark->what ? 0 : (int)mark->length;
    }
    return 0;
}
