#include "support/facts.h"

#include <criterion/criterion.h>
#include <string.h>

#include "support/figures.h"

enum { FACTS_MAX = 256 };
struct derive_settings settings = {.retention_ms = 7 * DAY, .sl_threshold_ms = 20 * S, .short_abandon_ms = 5 * S, .now = true, .top_box = 4,
                                   .band_count = 3, .band_ms = {3 * MIN, 6 * MIN, 10 * MIN}};
struct roster *roster;
struct derivation derived;

static struct fact facts[FACTS_MAX];
static uint32_t count;

struct fact *given(enum event_type type, int64_t time_ms)
{
    cr_assert_lt(count, FACTS_MAX);
    struct fact *fact = &facts[count];
    *fact = (struct fact){.time_ms = time_ms, .type = type, .id_hash = 1000 + count, .survey_hash = 1000 + count, .arrival = count};
    count++;
    return fact;
}

struct fact *with(struct fact *fact, enum dimension dimension, uint32_t value)
{
    fact->dimensions |= 1u << dimension;
    fact->dimension[dimension] = value;
    return fact;
}

struct fact *saying(struct fact *fact, enum field field, int64_t value)
{
    fact->fields |= 1u << field;
    fact->field[field] = value;
    return fact;
}

static void need_roster(void)
{
    if (roster == NULL)
        roster = roster_new();
}

void given_roster(int64_t time_ms, uint32_t agent, bool enrolled, uint32_t team, uint32_t site)
{
    static uint64_t id;
    need_roster();
    struct roster_entry entry = {.time_ms = time_ms, .id_hash = ++id, .team = team, .site = site, .enrolled = enrolled};
    roster_put(roster, 1, agent, &entry);
}

const struct fact *given_facts(uint32_t *out)
{
    *out = count;
    return facts;
}

static void derive_given(bool alone)
{
    static struct fact copy[FACTS_MAX];
    need_roster();
    if (derived.block == NULL)
        derivation_init(&derived);
    memcpy(copy, facts, count * sizeof *facts);
    derive(copy, count, alone, &settings, roster, 1, roster_sequence(roster), &derived);
}

void when_derived(void)
{
    derive_given(false);
}

void when_derived_alone(void)
{
    derive_given(true);
}

static int64_t figure_of(const struct block *block, uint32_t id)
{
    return block->kind != BLOCK_FIGURES ? 0 : figure_in(derived.bytes + block->at, block->length, id);
}

int64_t total(uint32_t id)
{
    int64_t sum = 0;
    for (uint32_t b = 0; b < derived.count; b++)
        sum += figure_of(&derived.block[b], id);
    return sum;
}

int64_t total_of(enum dimension dimension, uint32_t value, uint32_t id)
{
    int64_t sum = 0;
    for (uint32_t b = 0; b < derived.count; b++)
        if (derived.block[b].dims.id[dimension] == value)
            sum += figure_of(&derived.block[b], id);
    return sum;
}

int64_t total_at(int64_t anchor_ms, uint32_t id)
{
    int64_t sum = 0;
    for (uint32_t b = 0; b < derived.count; b++)
        if (derived.block[b].anchor_ms == anchor_ms)
            sum += figure_of(&derived.block[b], id);
    return sum;
}

int64_t now_of(enum dimension dimension, uint32_t value, uint32_t id)
{
    int64_t sum = 0;
    for (uint32_t b = 0; b < derived.count; b++)
        if (derived.block[b].kind == BLOCK_NOW && derived.block[b].dims.id[dimension] == value)
            sum += figure_in(derived.bytes + derived.block[b].at, derived.block[b].length, id);
    return sum;
}

int64_t now_total(uint32_t id)
{
    int64_t sum = 0;
    for (uint32_t b = 0; b < derived.count; b++)
        sum += derived.block[b].kind == BLOCK_NOW ? figure_in(derived.bytes + derived.block[b].at, derived.block[b].length, id) : 0;
    return sum;
}
