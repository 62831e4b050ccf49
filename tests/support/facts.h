/* facts: an interaction built fact by fact, derived, and asked for its figures.
 *
 *   given(EVENT_OFFERED, T);                      facts go into one static list; given() returns the fact
 *   with(given(EVENT_ANSWERED, T + 12 * S), DIMENSION_agent, ANNE);
 *   when_derived();
 *   cr_expect_eq(total(MEASURE_offered), 1);
 *
 * Criterion runs each test in a process of its own, so the static state is fresh in each. */
#ifndef ESTEEM_TEST_FACTS_H
#define ESTEEM_TEST_FACTS_H

#include "esteem/derive.h"
#include "support/times.h"

/* Words of dimensions, as numbers. */
enum { ANNE = 101, BERT, BILLING, VIP, VOICE, CHAT, NORTH, SOUTH, SITE };

extern struct derive_settings settings;
extern struct roster *roster;
extern struct derivation derived;

struct fact *given(enum event_type type, int64_t time_ms);
struct fact *with(struct fact *fact, enum dimension dimension, uint32_t value);
struct fact *saying(struct fact *fact, enum field field, int64_t value);
void given_roster(int64_t time_ms, uint32_t agent, bool enrolled, uint32_t team, uint32_t site);
/* The facts so far, for a ledger. */
const struct fact *given_facts(uint32_t *count);

void when_derived(void);
void when_derived_alone(void);

/* Sum of a measure over all blocks; over those whose dimension has the value (0: that lack it); at the anchor. */
int64_t total(uint32_t id);
int64_t total_of(enum dimension dimension, uint32_t value, uint32_t id);
int64_t total_at(int64_t anchor_ms, uint32_t id);
/* Of what it is now: all in all; under the dimension's value. */
int64_t now_total(uint32_t id);
int64_t now_of(enum dimension dimension, uint32_t value, uint32_t id);

#endif
