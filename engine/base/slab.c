/* Size classes grow by a half (16, 32, 48, 64, 96, 128, 192, ...), so at most a third of a block is lost. Regions of 1 MiB are
 * never given back: what one burst needed, the next will need again. */
#include "esteem/slab.h"

#include <stdlib.h>

#include "esteem/err.h"

enum { REGION_BYTES = 1 << 20, SMALLEST = 16 };

static unsigned class_of(size_t size, size_t *room)
{
    if (size <= SMALLEST) {
        *room = SMALLEST;
        return 0;
    }
    unsigned log = 63 - (unsigned)__builtin_clzll(size - 1); /* 2^log < size <= 2^(log+1) */
    size_t low = (size_t)1 << log, middle = low + low / 2;
    *room = size <= middle ? middle : low * 2;
    return (log - 3) * 2 - (size <= middle ? 1 : 0);
}

size_t slab_room(size_t size)
{
    size_t room;
    if (size > SLAB_LARGEST)
        return size;
    class_of(size, &room);
    return room;
}

void slab_init(struct slab *slab)
{
    *slab = (struct slab){0};
}

/* From one chain of regions into another. */
static void *move_first(void **from, void **to)
{
    void *region = *from;
    *from = *(void **)region;
    *(void **)region = *to;
    return *to = region;
}

void slab_clear(struct slab *slab)
{
    while (slab->regions)
        (void)move_first(&slab->regions, &slab->spare);
    for (int class = 0; class < SLAB_CLASSES; class++)
        slab->free_list[class] = NULL;
    slab->region = slab->region_end = NULL;
    slab->used = 0;
}

void slab_close(struct slab *slab)
{
    slab_clear(slab);
    for (void *region = slab->spare, *next; region; region = next) {
        next = *(void **)region;
        free(region);
    }
    *slab = (struct slab){0};
}

static void *carve(struct slab *slab, size_t room)
{
    if ((size_t)(slab->region_end - slab->region) < room) {
        if (slab->spare == NULL) {
            slab->spare = aligned_alloc(64, REGION_BYTES);
            ensure(slab->spare != NULL, "the machine has memory left");
            *(void **)slab->spare = NULL;
            slab->bytes += REGION_BYTES;
        }
        char *region = move_first(&slab->spare, &slab->regions);
        slab->region = region + 64;
        slab->region_end = region + REGION_BYTES;
    }
    void *block = slab->region;
    slab->region += room;
    return block;
}

void *slab_take(struct slab *slab, size_t size)
{
    if (size > SLAB_LARGEST) {
        void *block = malloc(size);
        ensure(block != NULL, "the machine has memory left");
        slab->bytes += size;
        slab->used += size;
        return block;
    }
    size_t room;
    unsigned class = class_of(size, &room);
    slab->used += room;
    void *block = slab->free_list[class];
    if (block == NULL)
        return carve(slab, room);
    slab->free_list[class] = *(void **)block;
    return block;
}

void slab_give(struct slab *slab, void *block, size_t size)
{
    if (block == NULL)
        return;
    if (size > SLAB_LARGEST) {
        free(block);
        slab->bytes -= size;
        slab->used -= size;
        return;
    }
    size_t room;
    unsigned class = class_of(size, &room);
    slab->used -= room;
    *(void **)block = slab->free_list[class];
    slab->free_list[class] = block;
}
