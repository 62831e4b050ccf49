#include "esteem/slots.h"

#include <stdlib.h>
#include <string.h>

#include "esteem/err.h"

static uint64_t *empty_slots(uint32_t room)
{
    uint64_t *slot = malloc(room * sizeof *slot);
    ensure(slot != NULL, "the machine has memory left");
    memset(slot, 0xff, room * sizeof *slot);
    return slot;
}

uint32_t *slots_plain_new(uint32_t room)
{
    uint32_t *slot = malloc(room * sizeof *slot);
    ensure(slot != NULL, "the machine has memory left");
    memset(slot, 0xff, room * sizeof *slot);
    return slot;
}

void slots_init(struct slots *slots, uint32_t room)
{
    *slots = (struct slots){empty_slots(room), room - 1, 0};
}

void slots_close(struct slots *slots)
{
    free(slots->slot);
    *slots = (struct slots){0};
}

void slots_clear(struct slots *slots)
{
    memset(slots->slot, 0xff, (slots->mask + UINT64_C(1)) * sizeof *slots->slot);
    slots->count = 0;
}

static void put(struct slots *slots, uint64_t slot)
{
    uint32_t i = slots_home(slots, (uint32_t)(slot >> 32));
    while ((uint32_t)slots->slot[i] != SLOTS_NONE)
        i = (i + 1) & slots->mask;
    slots->slot[i] = slot;
}

static void grow(struct slots *slots)
{
    uint64_t *old = slots->slot;
    uint32_t room = slots->mask + 1;
    slots->slot = empty_slots(room * 2);
    slots->mask = room * 2 - 1;
    for (uint32_t i = 0; i < room; i++)
        if ((uint32_t)old[i] != SLOTS_NONE)
            put(slots, old[i]);
    free(old);
}

void slots_put(struct slots *slots, uint32_t hash, uint32_t number)
{
    if (slots->count * UINT64_C(4) > slots->mask * UINT64_C(3))
        grow(slots);
    put(slots, (uint64_t)hash << 32 | number);
    slots->count++;
}

/* Those behind it that would not be found past the gap move into it. */
void slots_remove(struct slots *slots, uint32_t hash, uint32_t number)
{
    uint32_t i = slots_home(slots, hash);
    while ((uint32_t)slots->slot[i] != number) {
        ensure((uint32_t)slots->slot[i] != SLOTS_NONE, "what is taken out of an index is in it");
        i = (i + 1) & slots->mask;
    }
    for (uint32_t j = (i + 1) & slots->mask; (uint32_t)slots->slot[j] != SLOTS_NONE; j = (j + 1) & slots->mask) {
        uint32_t home = slots_home(slots, (uint32_t)(slots->slot[j] >> 32));
        if (((j - home) & slots->mask) < ((j - i) & slots->mask))
            continue;
        slots->slot[i] = slots->slot[j];
        i = j;
    }
    slots->slot[i] = UINT64_MAX;
    slots->count--;
}
