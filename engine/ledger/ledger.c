/* From facts to differences: what is taken, touched, derived, emitted, and at last forgotten. ledger_store.c keeps the records. */
#include "ledger_parts.h"

#include <stdlib.h>
#include <string.h>

#include "esteem/err.h"

struct ledger *ledger_new(const struct ledger_bounds *bounds, struct roster *roster)
{
    struct ledger *ledger = calloc(1, sizeof *ledger);
    ensure(ledger != NULL, "the machine has memory left");
    ledger->bounds = *bounds;
    ledger->roster = roster;
    ledger_store_init(ledger);
    ledger->fact_room = 64;
    ledger->fact = malloc(ledger->fact_room * sizeof *ledger->fact);
    ensure(ledger->fact != NULL, "the machine has memory left");
    ledger->swept[0] = ledger->swept[1] = INT64_MIN;
    derivation_init(&ledger->before);
    derivation_init(&ledger->after);
    return ledger;
}

void ledger_free(struct ledger *ledger)
{
    if (ledger == NULL)
        return;
    ledger_store_close(ledger);
    free(ledger->touched);
    free(ledger->gone);
    track_close(&ledger->track);
    free(ledger->fact);
    derivation_close(&ledger->before);
    derivation_close(&ledger->after);
    free(ledger);
}

/* A slot that no record refers to; EPOCHS_MAX when there is none. */
static int epoch_free(const struct ledger *ledger)
{
    int i = 0;
    while (i < EPOCHS_MAX && (ledger->epoch_users[i] || (i == ledger->epoch_now && ledger->records)))
        i++;
    return i;
}

static void touch(struct ledger *ledger, uint32_t record);

/* Has every record of the least used epoch derived anew, so that the next flush leaves its slot free. */
static void epoch_vacate(struct ledger *ledger)
{
    int least = ledger->epoch_now == 0;
    for (int i = 0; i < EPOCHS_MAX; i++)
        if (i != ledger->epoch_now && ledger->epoch_users[i] < ledger->epoch_users[least])
            least = i;
    for (uint32_t record = 0; record < ledger->made; record++)
        if (ledger_at(ledger, record)->flags & FLAG_USED && ledger_at(ledger, record)->epoch == least)
            touch(ledger, record);
}

void ledger_set_epoch(struct ledger *ledger, const struct epoch *epoch)
{
    ledger->epoch_waits = false;
    for (int i = 0; i < EPOCHS_MAX; i++) /* a reload that changes nothing here, or changes back, takes no slot */
        if ((ledger->epoch_users[i] || i == ledger->epoch_now) && memcmp(&ledger->epoch[i], epoch, sizeof *epoch) == 0) {
            ledger->epoch_now = (uint8_t)i;
            return;
        }
    int slot = epoch_free(ledger);
    if (slot < EPOCHS_MAX) {
        ledger->epoch[slot] = *epoch;
        ledger->epoch_now = (uint8_t)slot;
        return;
    }
    ledger->epoch_next = *epoch;
    ledger->epoch_waits = true;
    epoch_vacate(ledger);
}

/* ---- taking facts ---- */

static void touch(struct ledger *ledger, uint32_t record)
{
    struct interaction *one = ledger_at(ledger, record);
    if (one->flags & FLAG_TOUCHED)
        return;
    ledger_keep_for_checkpoint(ledger, record);
    one->flags |= FLAG_TOUCHED;
    if (ledger->touched_count == ledger->touched_room) {
        ledger->touched_room = ledger->touched_room ? ledger->touched_room * 2 : 1024;
        ledger->touched = realloc(ledger->touched, ledger->touched_room * sizeof *ledger->touched);
        ensure(ledger->touched != NULL, "the machine has memory left");
    }
    ledger->touched[ledger->touched_count++] = (struct touched){record, one->length};
}

/* It comes by another partition than the record's first: in a topic that is keyed by interaction none does. */
static bool strays(const struct interaction *one, uint16_t home)
{
    return one->home != home && one->home != LEDGER_HOME_HASH && home != LEDGER_HOME_HASH;
}

static bool known(const struct interaction *one, const struct fact *fact)
{
    for (const uint8_t *packed = one->log, *end = one->log + one->length; packed < end; packed += fact_length(packed))
        if (fact_same_event(packed, fact))
            return true;
    return false;
}

enum ledger_result ledger_put(struct ledger *ledger, struct ledger_key key, uint16_t home, uint32_t tenant, bool alone, const struct fact *fact)
{
    uint32_t record = ledger_find(ledger, key);
    if (record != NONE && strays(ledger_at(ledger, record), home))
        ledger->counts.strayed++;
    if (record != NONE && known(ledger_at(ledger, record), fact))
        return LEDGER_DUPLICATE;
    if (record == NONE) {
        bool short_of_memory = ledger->pressed && ledger->allowed == 0;
        if (!ledger->relaxed && (ledger->records >= ledger->bounds.interactions || short_of_memory))
            return LEDGER_FULL;
        ledger->allowed -= ledger->pressed && ledger->allowed > 0;
        record = ledger_make(ledger, key, home, tenant, alone, fact->time_ms, ledger->epoch_now);
    }
    touch(ledger, record);
    ledger_append(ledger, record, fact);
    return LEDGER_APPLIED;
}

/* ---- flushing ---- */

static uint32_t unpack(struct ledger *ledger, const struct interaction *one, uint32_t length)
{
    uint32_t count = 0;
    for (const uint8_t *packed = one->log, *end = one->log + length; packed < end; count++) {
        if (count == ledger->fact_room) {
            ledger->fact_room *= 2;
            ledger->fact = realloc(ledger->fact, ledger->fact_room * sizeof *ledger->fact);
            ensure(ledger->fact != NULL, "the machine has memory left");
        }
        packed += fact_unpack(packed, &ledger->fact[count]);
        ledger->fact[count].arrival = count;
    }
    return count;
}

static int by_hash(const void *a, const void *b)
{
    const struct block *left = a, *right = b;
    return (left->hash > right->hash) - (left->hash < right->hash);
}

static bool equal(const struct derivation *a, const struct block *x, const struct derivation *b, const struct block *y)
{
    return x->hash == y->hash && x->anchor_ms == y->anchor_ms && x->kind == y->kind && x->length == y->length &&
           memcmp(&x->dims, &y->dims, sizeof x->dims) == 0 && memcmp(a->bytes + x->at, b->bytes + y->at, x->length) == 0;
}

static void take_back(const struct interaction *one, const struct derivation *before, const struct block *old, uint32_t scopes, ledger_emit *emit,
                      void *context)
{
    struct tally_run run, negated;
    if (block_is_note(old->kind)) {
        emit(context, one->tenant, scopes, old, -1, before->bytes + old->at, old->length);
        return;
    }
    memcpy(run.bytes, before->bytes + old->at, old->length);
    run.length = old->length;
    tally_run_negate(&run, &negated);
    emit(context, one->tenant, scopes, old, -1, negated.bytes, negated.length);
}

/* Emits after - before; blocks that are in both are left out when both go to the same scopes. */
static void emit_difference(struct ledger *ledger, const struct interaction *one, uint32_t scopes_before, uint32_t scopes_after,
                            ledger_emit *emit, void *context)
{
    struct derivation *before = &ledger->before, *after = &ledger->after;
    bool cancel = scopes_before == scopes_after && before->count;
    if (cancel) {
        qsort(before->block, before->count, sizeof *before->block, by_hash);
        qsort(after->block, after->count, sizeof *after->block, by_hash);
    }
    uint32_t b = 0, a = 0;
    while (b < before->count || a < after->count) {
        const struct block *old = b < before->count ? &before->block[b] : NULL;
        const struct block *new = a < after->count ? &after->block[a] : NULL;
        if (cancel && old && new && equal(before, old, after, new)) {
            a++;
            b++;
        } else if (old && (new == NULL || !cancel || old->hash <= new->hash)) {
            take_back(one, before, old, scopes_before, emit, context);
            b++;
        } else {
            emit(context, one->tenant, scopes_after, new, 1, after->bytes + new->at, new->length);
            a++;
        }
    }
}

/* What the windows know of it: its first `sent` bytes of facts, under the settings and the roster of then. */
static void derive_before(struct ledger *ledger, const struct interaction *one, uint32_t sent, const struct roster *then)
{
    ledger->before.count = 0;
    if (sent)
        derive(ledger->fact, unpack(ledger, one, sent), one->flags & FLAG_ALONE, &ledger->epoch[one->epoch].settings, then, one->tenant,
               one->roster_sequence, &ledger->before);
}

/* What all its facts mean now; the windows are told the difference. */
static void tell_after(struct ledger *ledger, struct interaction *one, ledger_emit *emit, void *context)
{
    bool alone = one->flags & FLAG_ALONE;
    const struct epoch *old = &ledger->epoch[one->epoch], *now = &ledger->epoch[ledger->epoch_now];
    uint32_t sequence = roster_sequence(ledger->roster);
    derive(ledger->fact, unpack(ledger, one, one->length), alone, &now->settings, ledger->roster, one->tenant, sequence,
           &ledger->after);
    emit_difference(ledger, one, old->scopes, now->scopes, emit, context);
    ledger->counts.skewed += ledger->after.skewed && !ledger->before.skewed;
    ledger->counts.unjoined += ledger->after.unjoined;
    ledger->epoch_users[one->epoch]--;
    ledger->epoch_users[ledger->epoch_now]++;
    one->epoch = ledger->epoch_now;
    one->roster_sequence = sequence;
    one->flags &= (uint8_t)~(FLAG_TOUCHED | FLAG_STALE | FLAG_NOW);
    one->flags |= ledger->after.now ? FLAG_NOW : 0;
}

void ledger_bring_up(struct ledger *ledger, struct interaction *one, uint32_t sent, const struct roster *then, ledger_emit *emit, void *context)
{
    derive_before(ledger, one, sent, then);
    tell_after(ledger, one, emit, context);
}

uint32_t ledger_flush(struct ledger *ledger, uint32_t most, ledger_emit *emit, void *context)
{
    uint32_t end = ledger->touched_count, first = end > most ? end - most : 0;
    for (uint32_t i = first; i < end; i++) {
        if (i + 4 < end)
            __builtin_prefetch(ledger_at(ledger, ledger->touched[i + 4].record));
        ledger_bring_up(ledger, ledger_at(ledger, ledger->touched[i].record), ledger->touched[i].sent, ledger->roster, emit, context);
    }
    ledger->touched_count = first;
    if (ledger->epoch_waits && first == 0) {
        struct epoch next = ledger->epoch_next;
        ledger_set_epoch(ledger, &next);
    }
    return end - first;
}

uint32_t ledger_touched(const struct ledger *ledger)
{
    return ledger->touched_count;
}

/* ---- the roster has changed ---- */

static bool concerned(const struct ledger *ledger, const struct interaction *one)
{
    if (derive_lacks(&ledger->epoch[one->epoch].settings)) /* of before an upgrade: its new measures come now */
        return true;
    for (const uint8_t *packed = one->log, *end = one->log + one->length; packed < end; packed += fact_length(packed)) {
        uint32_t agent = fact_agent(packed);
        if (agent && roster_changed(ledger->roster, one->tenant, agent) > one->roster_sequence)
            return true;
    }
    return false;
}

bool ledger_follows_roster(const struct ledger *ledger)
{
    return ledger->search_left > 0 || ledger->upgraded || ledger->search_sequence != roster_sequence(ledger->roster);
}

uint32_t ledger_follow_roster(struct ledger *ledger, uint32_t most)
{
    uint32_t sequence = roster_sequence(ledger->roster), looked = 0;
    if (sequence != ledger->search_sequence) { /* once around, from where it stands */
        ledger->search_sequence = sequence;
        ledger->search_left = ledger->made;
    } else if (ledger->search_left == 0) {
        ledger->upgraded = false;
    }
    for (; looked < most && ledger->search_left > 0; looked++, ledger->search_left--) {
        uint32_t record = ledger->search_next = (ledger->search_next + 1) % ledger->made;
        struct interaction *one = ledger_at(ledger, record);
        if (!(one->flags & FLAG_USED) || one->flags & FLAG_TOUCHED || (one->roster_sequence == sequence && !ledger->upgraded))
            continue;
        if (concerned(ledger, one))
            touch(ledger, record);
        else
            one->roster_sequence = sequence;
    }
    return looked;
}

/* ---- forgetting ---- */

static bool names_customer(const struct interaction *one, uint64_t customer)
{
    struct fact fact;
    for (const uint8_t *packed = one->log, *end = one->log + one->length; packed < end;) {
        packed += fact_unpack(packed, &fact);
        if (fact.customer == customer)
            return true;
    }
    return false;
}

uint32_t ledger_forget_customer(struct ledger *ledger, uint32_t tenant, uint64_t customer, uint32_t *from, uint32_t most, bool *more, ledger_emit *emit,
                                void *context)
{
    uint32_t forgotten = 0;
    ensure(ledger->touched_count == 0, "a ledger is flushed before a customer is taken out of it");
    for (uint32_t looked = 0; *from < ledger->made && looked < most; looked++, ++*from) {
        struct interaction *one = ledger_at(ledger, *from);
        if (!(one->flags & FLAG_USED) || one->tenant != tenant || !names_customer(one, customer))
            continue;
        ledger_keep_for_checkpoint(ledger, *from);
        derive_before(ledger, one, one->length, ledger->roster);
        for (uint8_t *packed = one->log, *end = one->log + one->length; packed < end; packed += fact_length(packed))
            (void)fact_forget_customer(packed, customer);
        tell_after(ledger, one, emit, context);
        forgotten++;
    }
    *more = *from < ledger->made;
    return forgotten;
}

/* A record's figures stay; what it still is now ends with it. */
static void let_go(struct ledger *ledger, uint32_t record, ledger_emit *emit, void *context)
{
    struct interaction *one = ledger_at(ledger, record);
    struct derivation *last = &ledger->before;
    if (one->flags & FLAG_NOW) {
        const struct epoch *epoch = &ledger->epoch[one->epoch];
        derive(ledger->fact, unpack(ledger, one, one->length), one->flags & FLAG_ALONE, &epoch->settings, ledger->roster, one->tenant,
               one->roster_sequence, last);
        for (uint32_t b = 0; b < last->count; b++)
            if (last->block[b].kind == BLOCK_NOW)
                take_back(one, last, &last->block[b], epoch->scopes, emit, context);
    }
    ledger_forget(ledger, record);
}

static bool due(const struct ledger *ledger, const struct interaction *one, int64_t watermark_ms)
{
    int64_t retention_ms = one->flags & FLAG_ALONE ? ledger->bounds.retention_alone_ms : ledger->bounds.retention_ms;
    return one->last_ms + retention_ms < watermark_ms;
}

/* Sweeps the lists that lie wholly beyond one retention. */
static uint32_t sweep(struct ledger *ledger, int64_t *swept, int64_t retention_ms, int64_t watermark_ms, uint32_t most, ledger_emit *emit,
                      void *context)
{
    if (watermark_ms <= retention_ms)
        return 0;
    int64_t until = (watermark_ms - retention_ms) / ledger->list_ms;
    if (*swept == INT64_MIN || until - *swept > LISTS)
        *swept = until - LISTS;
    uint32_t forgotten = 0;
    for (uint32_t looked = 0; *swept < until && looked < most; ++*swept)
        for (uint32_t record = ledger->list[(uint64_t)*swept % LISTS], next; record != NONE; record = next, looked++) {
            next = ledger_at(ledger, record)->after;
            if (!due(ledger, ledger_at(ledger, record), watermark_ms))
                continue;
            let_go(ledger, record, emit, context);
            forgotten++;
        }
    return forgotten;
}

uint32_t ledger_evict(struct ledger *ledger, int64_t watermark_ms, uint32_t most, ledger_emit *emit, void *context)
{
    return sweep(ledger, &ledger->swept[0], ledger->bounds.retention_ms, watermark_ms, most, emit, context) +
           sweep(ledger, &ledger->swept[1], ledger->bounds.retention_alone_ms, watermark_ms, most, emit, context);
}

/* The list that holds the oldest record; NONE when there is none. */
static uint32_t oldest_list(const struct ledger *ledger)
{
    uint32_t oldest = NONE;
    for (uint32_t i = 0; i < LISTS; i++)
        if (ledger->list[i] != NONE && (oldest == NONE || ledger_at(ledger, ledger->list[i])->last_ms < ledger_at(ledger, ledger->list[oldest])->last_ms))
            oldest = i;
    return oldest;
}

uint32_t ledger_retire_oldest(struct ledger *ledger, uint32_t most, bool shrink, ledger_emit *emit, void *context)
{
    uint32_t count = 0, list = oldest_list(ledger);
    for (; count < most && list != NONE && ledger->list[list] != NONE; count++)
        let_go(ledger, ledger->list[list], emit, context);
    ledger->counts.retired += count;
    ledger->allowed = shrink ? count - count / 8 : count;
    return count;
}

void ledger_relax(struct ledger *ledger, bool relaxed)
{
    ledger->relaxed = relaxed;
}

void ledger_press(struct ledger *ledger, bool pressed)
{
    ledger->pressed = pressed;
}

struct ledger_counts ledger_counts(const struct ledger *ledger)
{
    struct ledger_counts counts = ledger->counts;
    counts.records = ledger->records;
    counts.fact_bytes = ledger->slab.used + ledger->records * sizeof(struct interaction);
    counts.index_bytes = ledger->index_slots * sizeof *ledger->index;
    counts.slack_bytes = ledger->slab.bytes - ledger->slab.used + (ledger->made - ledger->records) * sizeof(struct interaction);
    return counts;
}
