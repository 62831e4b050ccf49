#include "relay.h"

#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#include "esteem/combine.h"
#include "esteem/err.h"
#include "esteem/log.h"
#include "esteem/slots.h"
#include "esteem/varint.h"
#include "shard_parts.h"

enum { BOOK_SHARE = 64 /* of limits.memory a book has a 64th */, LISTS_TOGETHER = 64 };
enum { TUPLES_FIRST = 1024, TUPLES_MOST = 1 << 12, NOTE_MOST = 3 + 6 * VARINT_MAX + 16, TUPLE_MOST = (DIMENSION_MAX + 1) * 260 + 3 * VARINT_MAX,
       PAGE_MS = 2 * 3600000 };
#define NONE UINT32_MAX

/* ---- what comes of notes ---- */

static void emit_fcr(void *context, uint32_t tenant, uint8_t scopes, const struct dims *dims, int64_t anchor_ms, int fcr)
{
    struct shard *shard = context;
    struct tally_run run;
    tally_run_begin(&run);
    tally_run_put(&run, MEASURE_fcr, fcr);
    tally_run_end(&run);
    shard_add(shard, tenant, scopes, dims, anchor_ms, false, run.bytes, run.length);
}

static void emit_span(void *context, uint32_t tenant, uint8_t scopes, const struct dims *dims, int64_t anchor_ms, const struct tally_run *run)
{
    struct shard *shard = context;
    shard_add(shard, tenant, scopes, dims, anchor_ms, true, run->bytes, run->length);
}

static void emit_now(void *context, uint32_t tenant, uint8_t scopes, const struct dims *dims, const struct tally_run *run)
{
    shard_add_now(context, tenant, scopes, dims, 0, run->bytes, run->length);
}

static int scopes_of(void *context, uint8_t scopes, uint32_t *masks)
{
    struct shard *shard = context;
    int count = combine_scopes_read(shard->combine, scopes, masks);
    for (int s = 0; s < count; s++)
        masks[s] &= ~SCOPE_AGENTS; /* whose figures have no length */
    return count;
}

/* Of the 256 lists that there can be, a quarter may be of several scopes told together; the others stay for configurations, of which one life
 * takes 128 different ones, and for single scopes. */
static int scopes_with(void *context, const uint32_t *masks, int count)
{
    struct shard *shard = context;
    return count > 1 && combine_lists(shard->combine) >= LISTS_TOGETHER ? -1 : (int)combine_scopes_of(shard->combine, masks, count);
}

/* ---- life ---- */

static struct book *history(const struct shard *shard, int64_t limit, bool names, int64_t page_ms, uint8_t number)
{
    uint64_t most = shard->setup.batch ? UINT64_MAX : (uint64_t)limit / (uint64_t)shard->setup.shards + 1;
    return book_new(&(struct book_setup){.page_ms = page_ms, .names = names, .number = number, .most = most});
}

void relay_init(struct shard *shard)
{
    struct relay *relay = &shard->relay;
    const struct config *config = shard->config;
    relay->slots = TUPLES_FIRST;
    relay->slot = slots_plain_new(TUPLES_FIRST);
    relay->visits = (struct visits){history(shard, config->limit_visits, false, 0, BOOK_VISITS), config->fcr_window_ms, emit_fcr, shard};
    relay->shifts = (struct shifts){history(shard, config->limit_shifts, true, PAGE_MS, BOOK_STATES),
                                    history(shard, config->limit_shifts, true, PAGE_MS, BOOK_SEGMENTS), emit_span, emit_now, scopes_of, scopes_with,
                                    shard};
}

void relay_close(struct relay *relay)
{
    for (int s = 0; s < SHARD_MAX; s++) {
        free(relay->bundle[s].bytes);
        if (relay->from[s])
            free(relay->from[s]->tuple);
        free(relay->from[s]);
    }
    free(relay->tuple);
    free(relay->slot);
    book_free(relay->visits.book);
    book_free(relay->shifts.states);
    book_free(relay->shifts.segments);
}

int relay_owner_of_customer(uint64_t customer, int shards)
{
    return (int)(customer % (uint64_t)shards);
}

int relay_owner_of_agent(const char *tenant, const char *agent, int shards)
{
    uint64_t seed = XXH3_64bits(tenant, strlen(tenant));
    return (int)(XXH3_64bits_withSeed(agent, strlen(agent), seed) % (uint64_t)shards);
}

/* ---- writing ---- */

static uint8_t *reserve(struct relay_bundle *bundle, uint32_t most)
{
    if (bundle->length + most > bundle->room) {
        bundle->room = (bundle->length + most) * 2;
        bundle->bytes = realloc(bundle->bytes, bundle->room);
        ensure(bundle->bytes != NULL, "the machine has memory left");
    }
    return bundle->bytes + bundle->length;
}

static void written(struct relay_bundle *bundle, const uint8_t *end)
{
    bundle->length = (uint32_t)(end - bundle->bytes);
}

static uint32_t tuple_slot(const struct relay *relay, uint32_t tenant, const struct dims *dims)
{
    uint32_t mask = relay->slots - 1, i = (uint32_t)XXH3_64bits_withSeed(dims, sizeof *dims, tenant) & mask;
    for (uint32_t t; (t = relay->slot[i]) != NONE; i = (i + 1) & mask)
        if (relay->tuple[t].tenant == tenant && memcmp(&relay->tuple[t].dims, dims, sizeof *dims) == 0)
            break;
    return i;
}

static uint32_t tuple_number(struct relay *relay, uint32_t tenant, const struct dims *dims)
{
    uint32_t slot = tuple_slot(relay, tenant, dims);
    if (relay->slot[slot] != NONE)
        return relay->slot[slot];
    if (relay->tuples * 2 >= relay->slots) {
        free(relay->slot);
        relay->slots *= 2;
        relay->slot = slots_plain_new(relay->slots);
        for (uint32_t t = 0; t < relay->tuples; t++)
            relay->slot[tuple_slot(relay, relay->tuple[t].tenant, &relay->tuple[t].dims)] = t;
        slot = tuple_slot(relay, tenant, dims);
    }
    if (relay->tuples == relay->room) {
        relay->room = relay->room ? relay->room * 2 : TUPLES_FIRST;
        relay->tuple = realloc(relay->tuple, relay->room * sizeof *relay->tuple);
        ensure(relay->tuple != NULL, "the machine has memory left");
    }
    relay->tuple[relay->tuples] = (struct relay_tuple){tenant, *dims, 0};
    relay->slot[slot] = relay->tuples;
    return relay->tuples++;
}

static uint8_t *put_text(const struct shard *shard, uint8_t *at, uint32_t id)
{
    uint32_t length = intern_length(&shard->strings, id);
    at = varint_put(at, length);
    memcpy(at, intern_text(&shard->strings, id), length);
    return at + length;
}

static void tell_tuple(struct shard *shard, int target, uint32_t number)
{
    struct relay_tuple *tuple = &shard->relay.tuple[number];
    struct relay_bundle *bundle = &shard->relay.bundle[target];
    uint64_t bit = UINT64_C(1) << target;
    uint32_t mask = 0;
    if (tuple->told & bit)
        return;
    tuple->told |= bit;
    for (uint32_t i = 0; i < DIMENSION_MAX; i++)
        mask |= (uint32_t)(tuple->dims.id[i] != 0) << i;
    uint8_t *at = reserve(bundle, TUPLE_MOST);
    *at++ = 't';
    at = varint_put(at, number);
    at = put_text(shard, at, tuple->tenant);
    at = varint_put(at, mask);
    for (uint32_t left = mask; left; left &= left - 1)
        at = put_text(shard, at, tuple->dims.id[__builtin_ctz(left)]);
    written(bundle, at);
}

static void tell_list(struct shard *shard, int target, uint32_t scopes)
{
    struct relay_bundle *bundle = &shard->relay.bundle[target];
    uint64_t bit = UINT64_C(1) << target;
    uint32_t masks[CONFIG_SCOPE_MAX];
    if (shard->relay.list_told[scopes] & bit)
        return;
    shard->relay.list_told[scopes] |= bit;
    int count = combine_scopes_read(shard->combine, scopes, masks);
    uint8_t *at = reserve(bundle, (CONFIG_SCOPE_MAX + 3) * VARINT_MAX);
    *at++ = 'l';
    at = varint_put(at, scopes);
    at = varint_put(at, (uint64_t)count);
    for (int s = 0; s < count; s++)
        at = varint_put(at, masks[s]);
    written(bundle, at);
}

static bool returns(const struct shard *shard, const struct dims *dims)
{
    if (dims->id[DIMENSION_direction] == 0)
        return true;
    const char *direction = intern_text(&shard->strings, dims->id[DIMENSION_direction]);
    return strcmp(direction, "outbound") != 0 && strcmp(direction, "proactive") != 0;
}

static int owner(const struct shard *shard, uint32_t tenant, const struct block *block, const struct note *note)
{
    if (shard->setup.shards == 1)
        return 0;
    if (block->kind == BLOCK_VISIT)
        return relay_owner_of_customer(note->who, shard->setup.shards);
    const char *agent = intern_text(&shard->strings, block->dims.id[DIMENSION_agent]);
    return relay_owner_of_agent(intern_text(&shard->strings, tenant), agent, shard->setup.shards);
}

static void take(struct shard *shard, enum block_kind kind, int sign, uint32_t tenant, uint8_t scopes, const struct dims *dims, int64_t anchor_ms,
                 const struct note *note)
{
    struct relay *relay = &shard->relay;
    uint32_t agent = dims->id[DIMENSION_agent];
    struct book_entry entry = {.at_ms = anchor_ms, .until_ms = note->until_ms, .id = note->id, .scopes = scopes};
    if (kind == BLOCK_VISIT) {
        entry.flags = returns(shard, dims) ? VISIT_RETURNS : 0;
        entry.rank = (uint16_t)note->state;
        visit_take(&relay->visits, sign, tenant, note->who, &entry, dims);
    } else if (kind == BLOCK_STATE) {
        entry.flags = (uint8_t)note->state;
        entry.until_ms = DERIVE_NEVER;
        shift_state(&relay->shifts, sign, tenant, agent, &entry, dims);
    } else {
        shift_segment(&relay->shifts, sign, tenant, agent, &entry, dims);
    }
}

void relay_note(struct shard *shard, uint32_t tenant, uint32_t scopes, const struct block *block, int sign, const struct note *note)
{
    struct relay *relay = &shard->relay;
    int target = owner(shard, tenant, block, note);
    if (target == shard->setup.index && !relay->loading) {
        take(shard, block->kind, sign, tenant, (uint8_t)scopes, &block->dims, block->anchor_ms, note);
        return;
    }
    uint32_t tuple = tuple_number(relay, tenant, &block->dims);
    tell_tuple(shard, target, tuple);
    tell_list(shard, target, scopes);
    bool never = note->until_ms == DERIVE_NEVER;
    uint8_t *at = reserve(&relay->bundle[target], NOTE_MOST);
    *at++ = 'n';
    *at++ = (uint8_t)block->kind;
    *at++ = sign > 0;
    at = varint_put(at, tuple);
    at = varint_put(at, scopes);
    at = varint_put(at, zigzag(block->anchor_ms));
    memcpy(at, &note->who, 8);
    memcpy(at + 8, &note->id, 8);
    at = varint_put(at + 16, (uint64_t)note->state);
    *at++ = never;
    written(&relay->bundle[target], never ? at : varint_put(at, zigzag(note->until_ms - block->anchor_ms)));
}

/* All numbers are given anew: before anything is written. */
static void forget_numbers(struct shard *shard)
{
    struct relay *relay = &shard->relay;
    relay->tuples = 0;
    memset(relay->slot, 0xff, relay->slots * sizeof *relay->slot);
    memset(relay->list_told, 0, sizeof relay->list_told);
}

void relay_send(struct shard *shard)
{
    struct relay *relay = &shard->relay;
    for (int s = 0; s < shard->setup.shards; s++) {
        struct relay_bundle *bundle = &relay->bundle[s];
        if (bundle->length == 0)
            continue;
        struct parcel *parcel = calloc(1, sizeof *parcel + bundle->length);
        ensure(parcel != NULL, "the machine has memory left");
        parcel->kind = PARCEL_NOTES;
        parcel->from = shard->setup.index;
        parcel->length = bundle->length;
        memcpy(parcel->bytes, bundle->bytes, bundle->length);
        bundle->length = 0;
        shard_post(shard, OUTBOX_SHARD, s, parcel);
    }
    if (relay->tuples > TUPLES_MOST)
        forget_numbers(shard);
}

void relay_loading(struct relay *relay)
{
    relay->loading = true;
}

void relay_loaded(struct shard *shard)
{
    struct relay_bundle *own = &shard->relay.bundle[shard->setup.index];
    shard->relay.loading = false;
    relay_take(shard, shard->setup.index, own->bytes, own->length);
    own->length = 0;
}

struct book *relay_book(const struct relay *relay, int number)
{
    struct book *const book[BOOK_COUNT] = {[BOOK_VISITS] = relay->visits.book, [BOOK_STATES] = relay->shifts.states, [BOOK_SEGMENTS] = relay->shifts.segments};
    return book[number];
}

bool relay_empty(const struct relay *relay)
{
    for (int s = 0; s < SHARD_MAX; s++)
        if (relay->bundle[s].length)
            return false;
    return true;
}

/* ---- reading: what another of our threads wrote is well-formed ---- */

static uint32_t get_text(struct shard *shard, const uint8_t **at)
{
    uint64_t length;
    *at = varint_get(*at, &length);
    uint32_t id = length ? intern_put(&shard->strings, (const char *)*at, (uint32_t)length) : 0;
    *at += length;
    return id;
}

static const uint8_t *take_tuple(struct shard *shard, struct relay_sender *sender, const uint8_t *at)
{
    uint64_t number, mask;
    at = varint_get(at, &number);
    if (number >= sender->room) {
        sender->room = (uint32_t)number * 2 + 64;
        sender->tuple = realloc(sender->tuple, sender->room * sizeof *sender->tuple);
        ensure(sender->tuple != NULL, "the machine has memory left");
    }
    struct relay_tuple tuple = {.tenant = get_text(shard, &at)};
    at = varint_get(at, &mask);
    for (uint64_t left = mask; left; left &= left - 1)
        tuple.dims.id[__builtin_ctzll(left)] = get_text(shard, &at);
    sender->tuple[number] = tuple;
    return at;
}

static const uint8_t *take_list(struct shard *shard, struct relay_sender *sender, const uint8_t *at)
{
    uint64_t number, count, mask;
    uint32_t masks[CONFIG_SCOPE_MAX];
    at = varint_get(at, &number);
    at = varint_get(at, &count);
    for (uint64_t s = 0; s < count; s++) {
        at = varint_get(at, &mask);
        masks[s] = (uint32_t)mask;
    }
    sender->list[number] = (uint8_t)combine_scopes_of(shard->combine, masks, (int)count);
    return at;
}

static const uint8_t *take_note(struct shard *shard, const struct relay_sender *sender, const uint8_t *at)
{
    enum block_kind kind = *at++;
    int sign = *at++ ? 1 : -1;
    uint64_t number, scopes, anchor, state, until = 0;
    struct note note = {.until_ms = DERIVE_NEVER};
    at = varint_get(at, &number);
    at = varint_get(at, &scopes);
    at = varint_get(at, &anchor);
    memcpy(&note.who, at, 8);
    memcpy(&note.id, at + 8, 8);
    at = varint_get(at + 16, &state);
    note.state = (int64_t)state;
    if (!*at++) {
        at = varint_get(at, &until);
        note.until_ms = unzigzag(anchor) + unzigzag(until);
    }
    const struct relay_tuple tuple = sender->tuple[number];
    take(shard, kind, sign, tuple.tenant, sender->list[scopes], &tuple.dims, unzigzag(anchor), &note);
    return at;
}

void relay_take(struct shard *shard, int from, const uint8_t *at, uint32_t length)
{
    struct relay_sender *sender = shard->relay.from[from];
    const uint8_t *end = at + length;
    if (sender == NULL) {
        sender = shard->relay.from[from] = calloc(1, sizeof *sender);
        ensure(sender != NULL, "the machine has memory left");
    }
    while (at < end)
        switch (*at++) {
        case 't': at = take_tuple(shard, sender, at); break;
        case 'l': at = take_list(shard, sender, at); break;
        default: at = take_note(shard, sender, at); break;
        }
}

/* ---- forgetting ---- */

uint32_t relay_forget(struct shard *shard, uint32_t tenant, uint64_t customer)
{
    struct book *book = shard->relay.visits.book;
    uint32_t person = book_person(book, tenant, customer);
    return person == BOOK_NOBODY ? 0 : book_forget(book, person);
}

/* While memory is short and the oldest interactions give way, what is kept of people stops growing where each book holds its share. In
 * `pause` the sources stop at the next new interaction, and with them the books. */
void relay_press(struct shard *shard, bool pressed)
{
    const struct config *config = shard->config;
    bool bound = pressed && config->limit_memory && config->at_interactions == AT_BOUND_RETIRE;
    uint64_t most = bound ? (uint64_t)config->limit_memory / BOOK_SHARE / (uint64_t)shard->setup.shards : 0;
    for (int number = 0; number < BOOK_COUNT; number++)
        book_bound_bytes(relay_book(&shard->relay, number), most);
}

/* An interaction changes for retention.interaction after its last fact; what it told of may lie twice as far back. */
void relay_expire(struct shard *shard, uint32_t most)
{
    const struct config *config = shard->config;
    struct relay *relay = &shard->relay;
    int64_t watermark_ms = shard->all_watermark_ms, retention_ms = 2 * config->retention_interaction_ms;
    (void)book_expire(relay->visits.book, watermark_ms - retention_ms - config->fcr_window_ms, false, most);
    (void)book_expire(relay->shifts.segments, watermark_ms - retention_ms, false, most);
    (void)book_expire(relay->shifts.states, watermark_ms - retention_ms - config->retention_correction_ms, true, most);
    uint64_t refused = book_counts(relay->visits.book).refused + book_counts(relay->shifts.states).refused + book_counts(relay->shifts.segments).refused;
    if (refused && !shard->inexact)
        log_error("history.full", "limits.visits, limits.shifts or limits.memory is reached: first-contact resolution or agents' times are not exact from now on;"
                  " raise it and restart");
    shard->inexact |= refused != 0;
}
