/* Storage: an index of 4 bytes a slot (open addressing by the key's low half) over records of 64 bytes in pages, and each
 * record's log in the slab. Records wait for their eviction in a ring of lists by the time of their last fact, so that
 * moving the watermark touches what is due and little else. */
#include "ledger_parts.h"

#include <stdlib.h>
#include <string.h>

#include "esteem/err.h"

void ledger_store_init(struct ledger *ledger)
{
    int64_t retention_ms = ledger->bounds.retention_ms, alone_ms = ledger->bounds.retention_alone_ms;
    slab_init(&ledger->slab);
    ledger->index_slots = INDEX_FIRST;
    ledger->index = malloc(INDEX_FIRST * sizeof *ledger->index);
    ensure(ledger->index != NULL, "the machine has memory left");
    memset(ledger->index, 0xff, INDEX_FIRST * sizeof *ledger->index);
    memset(ledger->list, 0xff, sizeof ledger->list);
    ledger->list_ms = (retention_ms > alone_ms ? retention_ms : alone_ms) / (LISTS / 4) + 1;
    ledger->free_first = NONE;
}

void ledger_store_close(struct ledger *ledger)
{
    for (uint32_t i = 0; i < ledger->made; i++)
        if (ledger_at(ledger, i)->flags & FLAG_USED)
            slab_give(&ledger->slab, ledger_at(ledger, i)->log, ledger_at(ledger, i)->room);
    for (uint32_t i = 0; i < ledger->pages; i++)
        free(ledger->page[i]);
    free(ledger->page);
    free(ledger->index);
    slab_close(&ledger->slab);
}

/* ---- the index ---- */

static uint32_t slot_of(const struct ledger *ledger, struct ledger_key key)
{
    uint32_t i = (uint32_t)key.low & (ledger->index_slots - 1);
    for (uint32_t record; (record = ledger->index[i]) != NONE; i = (i + 1) & (ledger->index_slots - 1)) {
        const struct ledger_key *other = &ledger_at(ledger, record)->key;
        if (other->low == key.low && other->high == key.high)
            break;
    }
    return i;
}

static void index_grow(struct ledger *ledger)
{
    uint32_t slots = ledger->index_slots * 2;
    uint32_t *index = malloc(slots * sizeof *index);
    ensure(index != NULL, "the machine has memory left");
    memset(index, 0xff, slots * sizeof *index);
    for (uint32_t old = 0; old < ledger->index_slots; old++) {
        uint32_t record = ledger->index[old];
        if (record == NONE)
            continue;
        uint32_t i = (uint32_t)ledger_at(ledger, record)->key.low & (slots - 1);
        while (index[i] != NONE)
            i = (i + 1) & (slots - 1);
        index[i] = record;
    }
    free(ledger->index);
    ledger->index = index;
    ledger->index_slots = slots;
}

/* Takes a slot out and closes the gap, so that no tombstones gather. */
static void index_remove(struct ledger *ledger, uint32_t i)
{
    uint32_t mask = ledger->index_slots - 1;
    ledger->index[i] = NONE;
    for (uint32_t j = (i + 1) & mask; ledger->index[j] != NONE; j = (j + 1) & mask) {
        uint32_t home = (uint32_t)ledger_at(ledger, ledger->index[j])->key.low & mask;
        if (((j - home) & mask) < ((j - i) & mask))
            continue;
        ledger->index[i] = ledger->index[j];
        ledger->index[j] = NONE;
        i = j;
    }
}

/* ---- eviction lists ---- */

static uint32_t *list_of(struct ledger *ledger, int64_t last_ms)
{
    return &ledger->list[(uint64_t)(last_ms / ledger->list_ms) % LISTS];
}

static void list_enter(struct ledger *ledger, uint32_t record)
{
    struct interaction *one = ledger_at(ledger, record);
    uint32_t *head = list_of(ledger, one->last_ms);
    one->before = NONE;
    one->after = *head;
    if (*head != NONE)
        ledger_at(ledger, *head)->before = record;
    *head = record;
}

static void list_leave(struct ledger *ledger, uint32_t record)
{
    struct interaction *one = ledger_at(ledger, record);
    if (one->after != NONE)
        ledger_at(ledger, one->after)->before = one->before;
    if (one->before != NONE)
        ledger_at(ledger, one->before)->after = one->after;
    else
        *list_of(ledger, one->last_ms) = one->after;
}

/* ---- records ---- */

static uint32_t record_make(struct ledger *ledger)
{
    uint32_t record = ledger->free_first;
    if (record != NONE) {
        ledger->free_first = ledger_at(ledger, record)->after;
        return record;
    }
    if (ledger->made == ledger->pages * PAGE_RECORDS) {
        ledger->page = realloc(ledger->page, (ledger->pages + 1) * sizeof *ledger->page);
        ensure(ledger->page != NULL, "the machine has memory left");
        ledger->page[ledger->pages] = aligned_alloc(64, PAGE_RECORDS * sizeof **ledger->page);
        ensure(ledger->page[ledger->pages] != NULL, "the machine has memory left");
        ledger->pages++;
    }
    return ledger->made++;
}

uint32_t ledger_find(const struct ledger *ledger, struct ledger_key key)
{
    return ledger->index[slot_of(ledger, key)];
}

uint32_t ledger_make(struct ledger *ledger, struct ledger_key key, uint16_t home, uint32_t tenant, bool alone, int64_t last_ms, uint8_t epoch)
{
    if (ledger->records + 1 > ledger->index_slots / 2)
        index_grow(ledger);
    uint32_t record = record_make(ledger);
    struct interaction *one = ledger_at(ledger, record);
    *one = (struct interaction){.key = key, .last_ms = last_ms, .tenant = tenant, .epoch = epoch, .home = home,
                                .flags = (uint8_t)(FLAG_USED | (alone ? FLAG_ALONE : 0))};
    ledger->index[slot_of(ledger, key)] = record;
    ledger->records++;
    ledger->epoch_users[epoch]++;
    list_enter(ledger, record);
    track_new(&ledger->track, record, &one->mark);
    return record;
}

static void log_append(struct ledger *ledger, struct interaction *one, const struct fact *fact)
{
    uint8_t packed[FACT_BYTES_MAX];
    uint32_t length = fact_pack(fact, packed);
    if (one->length + length > one->room) {
        /* A long log grows by half again: else a contact of n facts would copy n * n bytes. */
        size_t room = slab_room(one->length + length + (one->length > 512 ? one->length / 2 : 0));
        uint8_t *log = slab_take(&ledger->slab, room);
        if (one->length)
            memcpy(log, one->log, one->length);
        slab_give(&ledger->slab, one->log, one->room);
        one->log = log;
        one->room = (uint32_t)room;
    }
    memcpy(one->log + one->length, packed, length);
    one->length += length;
}

void ledger_append(struct ledger *ledger, uint32_t record, const struct fact *fact)
{
    struct interaction *one = ledger_at(ledger, record);
    log_append(ledger, one, fact);
    if (fact->time_ms <= one->last_ms)
        return;
    bool moves = fact->time_ms / ledger->list_ms != one->last_ms / ledger->list_ms;
    if (moves)
        list_leave(ledger, record);
    one->last_ms = fact->time_ms;
    if (moves)
        list_enter(ledger, record);
}

void ledger_forget(struct ledger *ledger, uint32_t record)
{
    struct interaction *one = ledger_at(ledger, record);
    ensure(!(one->flags & FLAG_TOUCHED), "a record is flushed before it is forgotten");
    ledger_keep_for_checkpoint(ledger, record);
    ledger_note_gone(ledger, record);
    list_leave(ledger, record);
    index_remove(ledger, slot_of(ledger, one->key));
    slab_give(&ledger->slab, one->log, one->room);
    ledger->epoch_users[one->epoch]--;
    ledger->records--;
    *one = (struct interaction){.after = ledger->free_first};
    ledger->free_first = record;
}
