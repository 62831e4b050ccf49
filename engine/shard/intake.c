/* message ──mapping──> event(s) ──decode──> refused? ──> dead letter
 *                                     └──> ours? ──no──> parcel to the owner
 *                                            └──yes──> fact ──> ledger (applied, duplicate, full)
 * Each step may find no room; then the message is offered again, and what it has already done is skipped or, by the ledger,
 * a duplicate that is not counted twice. */
#include "shard_parts.h"

#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#include "esteem/err.h"
#include "esteem/log.h"
#include "esteem/mapping.h"

static bool refuse(struct shard *shard, const struct message *message, enum refusal reason, const char *field, const char *text)
{
    struct refused refused = {.message = message, .reason = reason, .field = field, .text = text};
    if (!shard->setup.dead_letter(shard->setup.context, &refused))
        return false;
    shard->counts.refused++;
    shard->counts.refused_by_reason[message->topic][reason]++;
    return true;
}

/* ---- strings and hashes ---- */

/* Strings are kept as C strings: a NUL character becomes C0 80, which UTF-8 has no other use for. */
static uint32_t intern(struct shard *shard, const struct text *text, uint32_t most)
{
    if (text->length == 0)
        return 0;
    if (shard->strings.count >= most) {
        uint32_t known = intern_find(&shard->strings, text->at, text->length);
        shard->counts.strings_refused += known == 0;
        return known ? known : shard->other;
    }
    if (memchr(text->at, 0, text->length) == NULL)
        return intern_put(&shard->strings, text->at, text->length);
    char copy[STRING_KEPT_MAX];
    uint32_t length = 0;
    for (uint32_t i = 0; i < text->length; i++) {
        if (text->at[i]) {
            copy[length++] = text->at[i];
            continue;
        }
        copy[length++] = (char)0xc0;
        copy[length++] = (char)0x80;
    }
    return intern_put(&shard->strings, copy, length);
}

enum identity { IDENTITY_INTERACTION, IDENTITY_EVENT, IDENTITY_SURVEY };

/* What makes the record that an event belongs to: its interaction, else its survey, else its own id. */
static struct ledger_key identity(const struct event *ev)
{
    const struct text *name = &ev->interaction;
    enum identity kind = IDENTITY_INTERACTION;
    if (name->length == 0) {
        kind = ev->survey.length ? IDENTITY_SURVEY : IDENTITY_EVENT;
        name = ev->survey.length ? &ev->survey : &ev->id;
    }
    uint64_t seed = XXH3_64bits_withSeed(ev->tenant.at, ev->tenant.length, (uint64_t)kind);
    XXH128_hash_t hash = XXH3_128bits_withSeed(name->at, name->length, seed);
    return (struct ledger_key){hash.high64, hash.low64};
}

static void fact_of(struct shard *shard, const struct event *ev, struct fact *fact)
{
    fact->time_ms = ev->time_ms;
    fact->type = ev->type;
    fact->comment = ev->comment;
    fact->id_hash = XXH3_64bits(ev->id.at, ev->id.length);
    fact->survey_hash = ev->survey.length ? XXH3_64bits_withSeed(ev->survey.at, ev->survey.length, IDENTITY_SURVEY) : fact->id_hash;
    fact->customer = ev->customer.length ? XXH3_64bits_withSeed(ev->customer.at, ev->customer.length, shard->customer_seed) : 0;
    fact->interaction = ev->customer.length && ev->interaction.length ? XXH3_64bits(ev->interaction.at, ev->interaction.length) : 0;
    fact->dimensions = ev->dimensions;
    fact->fields = ev->fields & ~(1u << FIELD_comment | 1u << FIELD_survey);
    memcpy(fact->field, ev->field, sizeof fact->field);
    bool roster = ev->type == EVENT_AGENT_ENROLLED || ev->type == EVENT_AGENT_REMOVED;
    uint32_t most = shard->memory == MEMORY_FREE || roster ? shard->strings_most : 0; /* a new name would be a new key, which there is no memory for */
    for (uint32_t left = ev->dimensions; left; left &= left - 1) {
        int i = __builtin_ctz(left);
        fact->dimension[i] = intern(shard, &ev->dimension[i], most);
    }
}

/* ---- the roster, which every shard has whole ---- */

static void roster_tell(struct shard *shard, uint32_t tenant, uint32_t agent, const struct roster_entry *entry)
{
    const uint32_t id[4] = {tenant, agent, entry->team, entry->site};
    size_t size = 0;
    for (int i = 0; i < 4; i++)
        size += intern_length(&shard->strings, id[i]) + 1;
    for (int s = 0; s < shard->setup.shards; s++) {
        if (s == shard->setup.index)
            continue;
        struct parcel *parcel = calloc(1, sizeof *parcel + size);
        ensure(parcel != NULL, "the machine has memory left");
        parcel->kind = PARCEL_ROSTER;
        parcel->from = shard->setup.index;
        parcel->roster.time_ms = entry->time_ms;
        parcel->roster.id_hash = entry->id_hash;
        parcel->roster.enrolled = entry->enrolled;
        uint32_t at = 0;
        for (int i = 0; i < 4; i++) {
            parcel->roster.at[i] = at;
            memcpy(parcel->bytes + at, intern_text(&shard->strings, id[i]), intern_length(&shard->strings, id[i]) + 1);
            at += intern_length(&shard->strings, id[i]) + 1;
        }
        shard_post(shard, OUTBOX_SHARD, s, parcel);
    }
}

static void roster_take(struct shard *shard, const struct fact *fact, uint32_t tenant)
{
    bool roster = fact->type == EVENT_AGENT_ENROLLED || fact->type == EVENT_AGENT_REMOVED;
    if (!roster || !(fact->dimensions >> DIMENSION_agent & 1))
        return;
    struct roster_entry entry = {.time_ms = fact->time_ms, .id_hash = fact->id_hash, .enrolled = fact->type == EVENT_AGENT_ENROLLED};
    entry.team = fact->dimensions >> DIMENSION_team & 1 ? fact->dimension[DIMENSION_team] : 0;
    entry.site = fact->dimensions >> DIMENSION_site & 1 ? fact->dimension[DIMENSION_site] : 0;
    if (roster_put(shard->roster, tenant, fact->dimension[DIMENSION_agent], &entry))
        roster_tell(shard, tenant, fact->dimension[DIMENSION_agent], &entry);
}

/* ---- one event ---- */

/* A restart that keeps interactions for longer does not remember those that were forgotten: what is sent of them again would be new. */
int64_t shard_forgotten_ms(const struct shard *shard)
{
    int64_t since_ms = shard->all_watermark_ms == INT64_MIN ? INT64_MIN : shard->all_watermark_ms - shard->config->retention_interaction_ms;
    return since_ms > shard->forgotten_ms ? since_ms : shard->forgotten_ms;
}

static bool too_late(const struct shard *shard, const struct event *ev)
{
    if (ev->interaction.length)
        return ev->time_ms < shard_forgotten_ms(shard);
    return shard->all_watermark_ms != INT64_MIN && ev->time_ms < shard->all_watermark_ms - shard->config->retention_correction_ms;
}

static enum refusal judge_time(const struct shard *shard, const struct event *ev)
{
    if (shard->setup.batch)
        return REFUSED_NOT;
    if (too_late(shard, ev))
        return REFUSED_too_late;
    if (shard->config->time_mode == TIME_LIVE && ev->time_ms > clock_wall_ms(&shard->setup.clock) + shard->config->skew_ms)
        return REFUSED_too_new;
    return REFUSED_NOT;
}

struct parcel *parcel_new(const struct message *message, const char *text, size_t length)
{
    const struct event_headers *headers = &message->headers;
    size_t size = length + headers->id.length + headers->type.length + headers->time.length + message->key.length;
    struct parcel *parcel = malloc(sizeof *parcel + size);
    ensure(parcel != NULL, "the machine has memory left");
    *parcel = (struct parcel){.kind = PARCEL_EVENT, .topic = message->topic, .input = message->input, .partition = message->partition,
                              .offset = message->offset, .headers = *headers, .key = message->key, .length = (uint32_t)length};
    char *at = parcel->bytes;
    if (length)
        memcpy(at, text, length);
    at += length;
    struct text *beside[] = {&parcel->headers.id, &parcel->headers.type, &parcel->headers.time, &parcel->key};
    for (int i = 0; i < 4; i++) {
        if (beside[i]->length)
            memcpy(at, beside[i]->at, beside[i]->length);
        beside[i]->at = at;
        at += beside[i]->length;
    }
    return parcel;
}

struct message parcel_message(const struct parcel *parcel)
{
    return (struct message){.at = parcel->bytes, .length = parcel->length, .topic = parcel->topic, .input = parcel->input,
                            .partition = parcel->partition, .offset = parcel->offset, .headers = parcel->headers,
                            .key = parcel->key};
}

static bool hand_over(struct shard *shard, int owner, const struct message *message, const char *text, size_t length)
{
    struct parcel *parcel = parcel_new(message, text, length);
    parcel->from = shard->setup.index;
    shard_post(shard, OUTBOX_SHARD, owner, parcel);
    shard->counts.handed_over++;
    return true;
}

static bool keep(struct shard *shard, const struct event *ev, struct ledger_key key, uint16_t home)
{
    struct fact fact;
    uint32_t tenant = intern(shard, &ev->tenant, shard->strings_most);
    fact_of(shard, ev, &fact);
    switch (ledger_put(shard->ledger, key, home, tenant, ev->interaction.length == 0, &fact)) {
    case LEDGER_FULL:
        shard->counts.ledger_full++;
        shard->full = true;
        if (shard->config->at_interactions == AT_BOUND_PAUSE)
            log_error("ledger.full", "limits.interactions or limits.memory is reached and sources are paused: raise it, or set limits.at_interactions: retire, and restart");
        return false;
    case LEDGER_DUPLICATE:
        shard->counts.duplicates++;
        return true;
    case LEDGER_APPLIED:
        break;
    }
    shard->counts.applied++;
    shard->counts.applied_by_type[ev->type]++;
    roster_take(shard, &fact, tenant);
    return true;
}

static void see_time(struct shard *shard, int input, int64_t time_ms)
{
    struct input *one = &shard->input[input];
    if (time_ms > one->newest_ms)
        one->newest_ms = time_ms;
    if (time_ms > shard->newest_ms)
        shard->newest_ms = time_ms;
    if (time_ms < shard->oldest_ms)
        shard->oldest_ms = time_ms;
}

/* `ours`: it was handed over, so this shard owns it. */
static bool event(struct shard *shard, const struct message *message, const char *text, size_t length, bool ours)
{
    struct event ev;
    const struct event_headers *headers = message->headers.given ? &message->headers : NULL;
    enum refusal reason = event_decode(shard->decoder, text, length, headers, &ev);
    if (reason == REFUSED_NOT && !ours) /* what was handed over has been judged by the shard that read it */
        reason = judge_time(shard, &ev);
    if (reason != REFUSED_NOT)
        return refuse(shard, message, reason, decoder_field(shard->decoder), "");
    struct ledger_key key = identity(&ev);
    /* One keyed topic brings an interaction's events together; for events outside any, nothing says by what they are keyed. */
    bool at_home = ev.interaction.length && !shard->route && message->partition >= 0 && message->partition < LEDGER_HOME_HASH;
    uint16_t home = at_home ? (uint16_t)message->partition : LEDGER_HOME_HASH;
    int owner = at_home ? shard->setup.index : ledger_owner(key, LEDGER_HOME_HASH, shard->setup.shards);
    bool done = ours || owner == shard->setup.index ? keep(shard, &ev, key, home) : hand_over(shard, owner, message, text, length);
    if (done && !ours)
        see_time(shard, message->input, ev.time_ms);
    return done;
}

/* ---- messages ---- */

struct mapped {
    struct shard *shard;
    const struct message *message;
    int number;
    bool held_up;
};

static void each_mapped(void *context, const char *json, size_t length)
{
    struct mapped *mapped = context;
    int number = mapped->number++;
    if (mapped->held_up || number < mapped->shard->outputs_done)
        return;
    if (event(mapped->shard, mapped->message, json, length, false))
        mapped->shard->outputs_done = number + 1;
    else
        mapped->held_up = true;
}

static bool map(struct shard *shard, struct mapping *mapping, const struct message *message)
{
    struct mapped mapped = {.shard = shard, .message = message};
    if (message->length > (size_t)shard->config->limit_message)
        return refuse(shard, message, REFUSED_too_large, "", "");
    int count = mapping_run(mapping, message->at, message->length, each_mapped, &mapped);
    if (count < 0) {
        bool done = refuse(shard, message, REFUSED_mapping_failed, "", err_text());
        err_clear();
        return done;
    }
    shard->counts.messages_empty += count == 0;
    return !mapped.held_up;
}

bool intake_message(struct shard *shard, const struct message *message)
{
    struct mapping *mapping = shard->mapping[message->topic];
    bool done = mapping ? map(shard, mapping, message) : event(shard, message, message->at, message->length, false);
    if (!done)
        return false;
    shard->outputs_done = 0;
    shard->counts.messages++;
    shard->input[message->input].heard_ms = clock_monotonic_ms(&shard->setup.clock);
    return true;
}

bool intake_parcel(struct shard *shard, struct parcel *parcel)
{
    if (parcel->kind == PARCEL_EVENT) {
        struct message message = parcel_message(parcel);
        return event(shard, &message, message.at, message.length, true);
    }
    if (parcel->kind == PARCEL_NOTES) {
        relay_take(shard, parcel->from, (const uint8_t *)parcel->bytes, parcel->length);
        return true;
    }
    uint32_t id[4];
    for (int i = 0; i < 4; i++) {
        const char *text = parcel->bytes + parcel->roster.at[i];
        id[i] = *text ? intern_put(&shard->strings, text, (uint32_t)strlen(text)) : 0;
    }
    struct roster_entry entry = {.time_ms = parcel->roster.time_ms, .id_hash = parcel->roster.id_hash,
                                 .enrolled = parcel->roster.enrolled, .team = id[2], .site = id[3]};
    roster_put(shard->roster, id[0], id[1], &entry);
    return true;
}
