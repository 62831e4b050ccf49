/* The ledger's part of a checkpoint: records are written as they were when it began, some a step, while events go on changing them
 * (track.h). An incremental one holds what was forgotten first, then what has changed. */
#include "ledger_parts.h"

#include <stdlib.h>
#include <string.h>

#include "esteem/err.h"
#include "esteem/varint.h"

enum { SAVED_ALONE = 1, SAVED_NOW = 2 }; /* flags of a record in a slice */
enum { RECORD_HEAD = 16 + 7 * VARINT_MAX, GONE_MOST = 4 << 20 /* keys; more of them make the next checkpoint a full one */ };

/* ---- writing ---- */

static uint8_t *put_record(const struct ledger *ledger, uint8_t *at, const struct interaction *one)
{
    at = slice_u64(slice_u64(at, one->key.high), one->key.low);
    *at++ = (uint8_t)((one->flags & FLAG_ALONE ? SAVED_ALONE : 0) | (one->flags & FLAG_NOW ? SAVED_NOW : 0));
    at = varint_put(at, zigzag(one->last_ms));
    at = varint_put(at, one->tenant);
    at = varint_put(at, one->epoch);
    at = varint_put(at, one->roster_sequence < ledger->dump_sequence ? one->roster_sequence : ledger->dump_sequence);
    at = varint_put(at, one->home);
    memcpy(at, one->log, one->length);
    return at + one->length;
}

/* Before the record is touched: until then the windows know all its facts. */
void ledger_keep_for_checkpoint(struct ledger *ledger, uint32_t record)
{
    struct interaction *one = ledger_at(ledger, record);
    if (track_touch(&ledger->track, record, &one->mark) && slice_late_open(ledger->out))
        slice_put_end_late(ledger->out, put_record(ledger, slice_put_late(ledger->out, SLICE_RECORD, RECORD_HEAD + one->length), one));
}

void ledger_note_gone(struct ledger *ledger, uint32_t record)
{
    if (!track_gone(&ledger->track, ledger->gone_count, GONE_MOST))
        return;
    if (ledger->gone_count == ledger->gone_room) {
        ledger->gone_room = ledger->gone_room ? ledger->gone_room * 2 : 1024;
        ledger->gone = realloc(ledger->gone, ledger->gone_room * sizeof *ledger->gone);
        ensure(ledger->gone != NULL, "the machine has memory left");
    }
    ledger->gone[ledger->gone_count++] = ledger_at(ledger, record)->key;
}

bool ledger_dump_can_add(const struct ledger *ledger)
{
    return track_on(&ledger->track);
}

bool ledger_dump_begin(struct ledger *ledger, bool full, struct slice_out *out)
{
    ensure(ledger->touched_count == 0, "a ledger is flushed before it is written");
    full = track_begin(&ledger->track, full, ledger->made);
    ledger->out = out;
    ledger->dump_sequence = roster_sequence(ledger->roster);
    for (uint32_t i = 0; i < ledger->gone_count && !full; i++)
        slice_put_end(out, slice_u64(slice_u64(slice_put(out, SLICE_RECORD_GONE, 16), ledger->gone[i].high), ledger->gone[i].low));
    ledger->gone_count = 0;
    return full;
}

bool ledger_dump_step(struct ledger *ledger, uint32_t bytes)
{
    uint64_t until = ledger->out->bytes + bytes;
    for (uint32_t record; ledger->out->bytes < until;) {
        if (!track_next(&ledger->track, &record))
            return true;
        struct interaction *one = ledger_at(ledger, record);
        if (!(one->flags & FLAG_USED) || !track_take(&ledger->track, &one->mark))
            continue;
        slice_put_end(ledger->out, put_record(ledger, slice_put(ledger->out, SLICE_RECORD, RECORD_HEAD + one->length), one));
    }
    return false;
}

void ledger_dump_give_up(struct ledger *ledger)
{
    track_give_up(&ledger->track);
    ledger->gone_count = 0;
}

/* ---- reading ---- */

bool ledger_saved_read(struct slice_item *item, struct ledger_saved *saved)
{
    saved->key.high = slice_get_u64(item);
    saved->key.low = slice_get_u64(item);
    uint64_t flags = slice_get(item);
    saved->alone = flags & SAVED_ALONE;
    saved->now = flags & SAVED_NOW;
    saved->last_ms = slice_get_signed(item);
    saved->tenant = (uint32_t)slice_get(item);
    saved->epoch = (uint32_t)slice_get(item);
    saved->roster_sequence = (uint32_t)slice_get(item);
    saved->home = (uint16_t)slice_get(item);
    saved->log = slice_get_rest(item, &saved->length);
    return !item->bad && saved->length > 0 && fact_log_valid(saved->log, saved->length);
}

bool ledger_gone_read(struct slice_item *item, struct ledger_key *key)
{
    key->high = slice_get_u64(item);
    key->low = slice_get_u64(item);
    return !item->bad;
}

void ledger_load_gone(struct ledger *ledger, struct ledger_key key)
{
    uint32_t record = ledger_find(ledger, key);
    if (record != NONE)
        ledger_forget(ledger, record);
}

void ledger_load(struct ledger *ledger, const struct ledger_saved *saved, bool stale)
{
    ledger_load_gone(ledger, saved->key);
    uint32_t record = ledger_make(ledger, saved->key, saved->home, saved->tenant, saved->alone, saved->last_ms, (uint8_t)saved->epoch);
    struct interaction *one = ledger_at(ledger, record);
    one->room = (uint32_t)slab_room(saved->length);
    one->log = slab_take(&ledger->slab, one->room);
    memcpy(one->log, saved->log, saved->length);
    one->length = saved->length;
    one->roster_sequence = saved->roster_sequence;
    one->flags |= (uint8_t)((stale ? FLAG_STALE : 0) | (saved->now ? FLAG_NOW : 0));
}

void ledger_settle(struct ledger *ledger, const struct roster *then, bool same_changes, ledger_emit *emit, void *context)
{
    uint32_t all = roster_sequence(then);
    for (uint32_t record = 0; record < ledger->made; record++) {
        struct interaction *one = ledger_at(ledger, record);
        if (!(one->flags & FLAG_STALE))
            continue;
        if (!same_changes || one->roster_sequence != all)
            ledger_bring_up(ledger, one, one->length, then, emit, context);
        one->flags &= (uint8_t)~FLAG_STALE;
    }
}

const struct epoch *ledger_epoch(const struct ledger *ledger, int slot)
{
    return ledger->epoch_users[slot] ? &ledger->epoch[slot] : NULL;
}

int ledger_epoch_keep(struct ledger *ledger, const struct epoch *epoch)
{
    int slot = 0;
    while (slot < EPOCHS_MAX && ((ledger->epoch_users[slot] == 0 && slot != ledger->epoch_now) || memcmp(&ledger->epoch[slot], epoch, sizeof *epoch) != 0))
        slot++;
    for (int i = 0; slot == EPOCHS_MAX && i < EPOCHS_MAX; i++)
        if (ledger->epoch_users[i] == 0 && i != ledger->epoch_now)
            slot = i;
    if (slot == EPOCHS_MAX)
        return -1;
    ledger->epoch[slot] = *epoch;
    ledger->epoch_users[slot]++;
    if (derive_lacks(&epoch->settings)) {
        ledger->upgraded = true;
        ledger->search_sequence = UINT32_MAX; /* no roster has so many changes: the search begins */
    }
    return slot;
}

void ledger_epoch_let_go(struct ledger *ledger, int slot)
{
    ledger->epoch_users[slot]--;
}
