/* intern: each distinct string once, as a number from 1 (0 is absent). One table a thread, no lock; strings stay until the
 * table closes. Bounded by the distinct values of dimensions that a feed names. */
#ifndef ESTEEM_INTERN_H
#define ESTEEM_INTERN_H

#include <stdint.h>

struct intern_string {
    const char *at; /* ends with a zero byte behind `length` */
    uint32_t length;
    uint32_t hash;
};

struct intern {
    uint32_t *slot; /* open addressing: id or 0 */
    uint32_t slots; /* a power of two */
    uint32_t count; /* ids 1 .. count */
    struct intern_string *string;
    uint32_t room;
    char *page, *page_end;
    void *pages;
    uint64_t bytes;
};

void intern_init(struct intern *intern);
void intern_close(struct intern *intern);
uint32_t intern_put(struct intern *intern, const char *at, uint32_t length);
/* 0: it is not there. */
uint32_t intern_find(const struct intern *intern, const char *at, uint32_t length);
/* What it holds of the machine's memory. */
static inline uint64_t intern_bytes(const struct intern *intern)
{
    return intern->bytes + intern->slots * sizeof *intern->slot + intern->room * sizeof *intern->string;
}
static inline const char *intern_text(const struct intern *intern, uint32_t id)
{
    return intern->string[id].at;
}
static inline uint32_t intern_length(const struct intern *intern, uint32_t id)
{
    return intern->string[id].length;
}

#endif
