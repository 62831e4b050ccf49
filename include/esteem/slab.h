/* slab: memory for the many small blocks of one thread, by size class, taken from the system in large regions and kept until
 * the pool closes. No lock, no header before a block: whoever frees names the size. Runs on: the owner's thread. */
#ifndef ESTEEM_SLAB_H
#define ESTEEM_SLAB_H

#include <stddef.h>
#include <stdint.h>

enum { SLAB_CLASSES = 40, SLAB_LARGEST = 65536 }; /* larger blocks come from malloc */

struct slab {
    void *free_list[SLAB_CLASSES];
    char *region, *region_end;
    void *regions;  /* those in use, chained */
    void *spare;    /* of before slab_clear, to be used again */
    uint64_t bytes; /* taken from the system */
    uint64_t used;  /* in blocks that are out, rounded up to their class */
};

void slab_init(struct slab *slab);
void slab_close(struct slab *slab);
/* Never NULL: without memory the process stops, and its checkpoint brings it back. */
void *slab_take(struct slab *slab, size_t size);
void slab_give(struct slab *slab, void *block, size_t size);
/* All blocks at once; those larger than SLAB_LARGEST have been given already. */
void slab_clear(struct slab *slab);
/* The size that slab_take(size) really gives. */
size_t slab_room(size_t size);

#endif
