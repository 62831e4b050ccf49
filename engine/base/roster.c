/* A hash of (tenant, agent) to its changes, sorted as SEMANTICS 2 orders facts: by time, removals before enrolments, hash of the id. Nothing
 * leaves the list: a change that is taken back is known to whoever asks as of before. */
#include "esteem/roster.h"

#include <stdlib.h>
#include <string.h>

#include "esteem/err.h"

struct person {
    uint32_t tenant, agent; /* agent 0: an empty slot */
    uint32_t count, room;
    uint32_t newest; /* number of the newest change */
    struct roster_entry *entry;
};

struct roster {
    struct person *slot;
    uint32_t slots, people, sequence, reading; /* of the file */
};

struct roster *roster_new(void)
{
    struct roster *roster = calloc(1, sizeof *roster);
    ensure(roster != NULL, "the machine has memory left");
    roster->slots = 256;
    roster->slot = calloc(roster->slots, sizeof *roster->slot);
    ensure(roster->slot != NULL, "the machine has memory left");
    return roster;
}

void roster_free(struct roster *roster)
{
    if (roster == NULL)
        return;
    for (uint32_t i = 0; i < roster->slots; i++)
        free(roster->slot[i].entry);
    free(roster->slot);
    free(roster);
}

static struct person *find(const struct roster *roster, uint32_t tenant, uint32_t agent)
{
    uint64_t hash = ((uint64_t)tenant << 32 | agent) * UINT64_C(0x9e3779b97f4a7c15);
    uint32_t i = (uint32_t)(hash >> 32) & (roster->slots - 1);
    while (roster->slot[i].agent && (roster->slot[i].agent != agent || roster->slot[i].tenant != tenant))
        i = (i + 1) & (roster->slots - 1);
    return &roster->slot[i];
}

static void grow(struct roster *roster)
{
    struct roster old = *roster;
    roster->slots *= 2;
    roster->slot = calloc(roster->slots, sizeof *roster->slot);
    ensure(roster->slot != NULL, "the machine has memory left");
    for (uint32_t i = 0; i < old.slots; i++)
        if (old.slot[i].agent)
            *find(roster, old.slot[i].tenant, old.slot[i].agent) = old.slot[i];
    free(old.slot);
}

static bool before(const struct roster_entry *a, const struct roster_entry *b)
{
    if (a->time_ms != b->time_ms)
        return a->time_ms < b->time_ms;
    if (a->enrolled != b->enrolled)
        return b->enrolled;
    return a->id_hash < b->id_hash;
}

static bool same(const struct roster_entry *a, const struct roster_entry *b)
{
    return a->id_hash == b->id_hash && a->time_ms == b->time_ms && a->enrolled == b->enrolled && a->team == b->team &&
           a->site == b->site && a->ineligible == b->ineligible && a->file == b->file;
}

/* Whether a change is in force for who knows those numbered up to `as_of`. */
static bool stands(const struct roster_entry *entry, uint32_t as_of)
{
    return entry->sequence <= as_of && (entry->gone == 0 || entry->gone > as_of);
}

static struct roster_entry *standing(const struct person *person, const struct roster_entry *like)
{
    for (uint32_t i = 0; i < person->count; i++)
        if (person->entry[i].gone == 0 && same(&person->entry[i], like))
            return &person->entry[i];
    return NULL;
}

bool roster_put(struct roster *roster, uint32_t tenant, uint32_t agent, const struct roster_entry *entry)
{
    if (roster->people * 2 >= roster->slots)
        grow(roster);
    struct person *person = find(roster, tenant, agent);
    if (person->agent == 0) {
        *person = (struct person){.tenant = tenant, .agent = agent};
        roster->people++;
    }
    if (standing(person, entry))
        return false;
    if (person->count == person->room) {
        person->room = person->room ? person->room * 2 : 4;
        person->entry = realloc(person->entry, person->room * sizeof *person->entry);
        ensure(person->entry != NULL, "the machine has memory left");
    }
    uint32_t at = person->count++;
    for (; at > 0 && before(entry, &person->entry[at - 1]); at--)
        person->entry[at] = person->entry[at - 1];
    person->entry[at] = *entry;
    person->entry[at].sequence = person->newest = ++roster->sequence;
    person->entry[at].gone = 0;
    return true;
}

static void take_back(struct roster *roster, struct person *person, struct roster_entry *entry)
{
    entry->gone = person->newest = ++roster->sequence;
}

bool roster_drop(struct roster *roster, uint32_t tenant, uint32_t agent, const struct roster_entry *entry)
{
    struct person *person = find(roster, tenant, agent);
    struct roster_entry *found = standing(person, entry);
    if (found)
        take_back(roster, person, found);
    return found != NULL;
}

void roster_file_begin(struct roster *roster)
{
    roster->reading++;
}

void roster_keep(struct roster *roster, uint32_t tenant, uint32_t agent, const struct roster_entry *entry)
{
    (void)roster_put(roster, tenant, agent, entry);
    standing(find(roster, tenant, agent), entry)->kept = roster->reading;
}

void roster_file_end(struct roster *roster)
{
    for (uint32_t i = 0; i < roster->slots; i++)
        for (uint32_t e = 0; e < roster->slot[i].count; e++) {
            struct roster_entry *entry = &roster->slot[i].entry[e];
            if (entry->file && entry->gone == 0 && entry->kept != roster->reading)
                take_back(roster, &roster->slot[i], entry);
        }
}

uint32_t roster_sequence(const struct roster *roster)
{
    return roster->sequence;
}

static bool makes_eligible(const struct roster_entry *entry)
{
    return entry->enrolled && !entry->ineligible;
}

bool roster_eligible_before(const struct roster *roster, uint32_t tenant, uint32_t agent, const struct roster_entry *change, uint32_t as_of)
{
    const struct person *person = find(roster, tenant, agent);
    bool eligible = false;
    for (uint32_t i = 0; i < person->count && before(&person->entry[i], change); i++)
        if (stands(&person->entry[i], as_of))
            eligible = makes_eligible(&person->entry[i]);
    return eligible;
}

bool roster_eligible(const struct roster *roster, uint32_t tenant, uint32_t agent, int64_t before_ms, struct roster_place *place)
{
    const struct person *person = find(roster, tenant, agent);
    const struct roster_entry *last = NULL;
    for (uint32_t i = 0; i < person->count && person->entry[i].time_ms < before_ms; i++)
        if (person->entry[i].gone == 0)
            last = &person->entry[i];
    if (last == NULL || !makes_eligible(last))
        return false;
    *place = (struct roster_place){last->team, last->site};
    return true;
}

void roster_spans(const struct roster *roster, uint32_t tenant, uint32_t agent, roster_span *each, void *context)
{
    const struct person *person = find(roster, tenant, agent);
    const struct roster_entry *open = NULL; /* the last one that stands, so far */
    for (uint32_t i = 0; i <= person->count; i++) {
        const struct roster_entry *entry = i < person->count ? &person->entry[i] : NULL;
        int64_t until_ms = entry ? entry->time_ms : INT64_MAX;
        if (entry && entry->gone)
            continue;
        if (open && makes_eligible(open) && open->time_ms < until_ms)
            each(context, (struct roster_place){open->team, open->site}, open->time_ms, until_ms);
        open = entry;
    }
}

uint32_t roster_changed(const struct roster *roster, uint32_t tenant, uint32_t agent)
{
    return find(roster, tenant, agent)->newest;
}

struct change {
    uint32_t tenant, agent, number;
    const struct roster_entry *entry;
};

static int by_number(const void *left, const void *right)
{
    const struct change *a = left, *b = right;
    return (a->number > b->number) - (a->number < b->number);
}

void roster_since(const struct roster *roster, uint32_t since, roster_each *each, void *context)
{
    uint32_t count = 0;
    struct change *change = malloc((roster->sequence - since + 1) * sizeof *change);
    ensure(change != NULL, "the machine has memory left");
    for (uint32_t i = 0; i < roster->slots && roster->sequence > since; i++)
        for (uint32_t e = 0; e < roster->slot[i].count; e++) {
            const struct person *person = &roster->slot[i];
            const struct roster_entry *entry = &person->entry[e];
            if (entry->sequence > since)
                change[count++] = (struct change){person->tenant, person->agent, entry->sequence, entry};
            if (entry->gone > since)
                change[count++] = (struct change){person->tenant, person->agent, entry->gone, entry};
        }
    qsort(change, count, sizeof *change, by_number);
    for (uint32_t i = 0; i < count; i++)
        each(context, change[i].tenant, change[i].agent, change[i].entry, change[i].number == change[i].entry->gone);
    free(change);
}

/* What an entry says: an enrolment its own place, a removal that of the enrolment before it. */
static struct roster_place place_of(const struct person *person, uint32_t at, uint32_t as_of)
{
    for (uint32_t i = at + 1; i-- > 0;)
        if (stands(&person->entry[i], as_of) && person->entry[i].enrolled)
            return (struct roster_place){person->entry[i].team, person->entry[i].site};
    return (struct roster_place){0, 0};
}

struct roster_place roster_find(const struct roster *roster, uint32_t tenant, uint32_t agent, int64_t at_ms, uint32_t as_of)
{
    if (agent == 0 || as_of == 0)
        return (struct roster_place){0, 0};
    const struct person *person = find(roster, tenant, agent);
    uint32_t found = UINT32_MAX;
    for (uint32_t i = 0; i < person->count; i++) {
        if (!stands(&person->entry[i], as_of))
            continue;
        if (found == UINT32_MAX || person->entry[i].time_ms <= at_ms)
            found = i;
        if (person->entry[i].time_ms > at_ms)
            break;
    }
    return found == UINT32_MAX ? (struct roster_place){0, 0} : place_of(person, found, as_of);
}
