/* json: simdjson behind a C interface. json_index finds every structural character of a text (simdjson's stage 1, which also
 * checks UTF-8, unclosed strings and control characters in strings); json_text.c reads values off that index itself, which
 * measured faster than the On-Demand API (125 against 192 ns a 336-byte event). One index a thread. */
#ifndef ESTEEM_JSON_H
#define ESTEEM_JSON_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

struct json_index {
    void *parser;        /* simdjson's */
    const uint32_t *at;  /* positions of { } [ ] : , and of the first byte of each string or scalar */
    uint32_t count;
    size_t capacity;
};

bool json_index_init(struct json_index *index);
void json_index_close(struct json_index *index);

/* Indexes `text`. False when it is empty, no UTF-8, or a string in it is broken. Reads no byte past `length`. */
bool json_index_text(struct json_index *index, const char *text, size_t length);

const char *json_version(void);

#ifdef __cplusplus
}
#endif

#endif
