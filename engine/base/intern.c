#include "esteem/intern.h"

#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#include "esteem/err.h"

enum { SLOTS_FIRST = 1024, PAGE_BYTES = 65536 };

void intern_init(struct intern *intern)
{
    *intern = (struct intern){.slots = SLOTS_FIRST, .room = SLOTS_FIRST};
    intern->slot = calloc(intern->slots, sizeof *intern->slot);
    intern->string = calloc(intern->room, sizeof *intern->string);
    ensure(intern->slot && intern->string, "the machine has memory left");
    intern->string[0].at = "";
}

void intern_close(struct intern *intern)
{
    for (void *page = intern->pages, *next; page; page = next) {
        next = *(void **)page;
        free(page);
    }
    free(intern->slot);
    free(intern->string);
    *intern = (struct intern){0};
}

static const char *keep(struct intern *intern, const char *at, uint32_t length)
{
    if ((size_t)(intern->page_end - intern->page) < length + 1) {
        size_t size = length + 1 + sizeof(void *) > PAGE_BYTES ? length + 1 + sizeof(void *) : PAGE_BYTES;
        char *page = malloc(size);
        ensure(page != NULL, "the machine has memory left");
        *(void **)(void *)page = intern->pages;
        intern->pages = page;
        intern->page = page + sizeof(void *);
        intern->page_end = page + size;
        intern->bytes += size;
    }
    char *text = intern->page;
    memcpy(text, at, length);
    text[length] = 0;
    intern->page += length + 1;
    return text;
}

static void grow(struct intern *intern)
{
    uint32_t slots = intern->slots * 2;
    uint32_t *slot = calloc(slots, sizeof *slot);
    struct intern_string *string = realloc(intern->string, slots * sizeof *string);
    ensure(slot && string, "the machine has memory left");
    for (uint32_t id = 1; id <= intern->count; id++) {
        uint32_t i = string[id].hash & (slots - 1);
        while (slot[i])
            i = (i + 1) & (slots - 1);
        slot[i] = id;
    }
    free(intern->slot);
    intern->slot = slot;
    intern->string = string;
    intern->slots = intern->room = slots;
}

uint32_t intern_find(const struct intern *intern, const char *at, uint32_t length)
{
    uint32_t hash = (uint32_t)XXH3_64bits(at, length), i = hash & (intern->slots - 1);
    for (uint32_t id; (id = intern->slot[i]) != 0; i = (i + 1) & (intern->slots - 1)) {
        const struct intern_string *string = &intern->string[id];
        if (string->hash == hash && string->length == length && memcmp(string->at, at, length) == 0)
            return id;
    }
    return 0;
}

uint32_t intern_put(struct intern *intern, const char *at, uint32_t length)
{
    uint32_t known = intern_find(intern, at, length);
    if (known)
        return known;
    if (intern->count + 1 >= intern->slots / 2) {
        grow(intern);
        return intern_put(intern, at, length);
    }
    uint32_t hash = (uint32_t)XXH3_64bits(at, length), i = hash & (intern->slots - 1), id = ++intern->count;
    while (intern->slot[i])
        i = (i + 1) & (intern->slots - 1);
    intern->slot[i] = id;
    intern->string[id] = (struct intern_string){keep(intern, at, length), length, hash};
    return id;
}
