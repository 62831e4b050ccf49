/* roster: who is in which team and site, by agent and time, from agent.enrolled and agent.removed, and from roster.file. Each change has a sequence
 * number, so that a record derived earlier can be derived again as it was then (`as_of`). Each shard has all of it, and so has each
 * fold. Runs on: its owner's thread. Bounded by the changes that the feed tells. */
#ifndef ESTEEM_ROSTER_H
#define ESTEEM_ROSTER_H

#include <stdbool.h>
#include <stdint.h>

struct roster_entry {
    int64_t time_ms;
    uint64_t id_hash;
    uint32_t sequence; /* from 1, in the order of arrival */
    uint32_t gone;     /* likewise, of its being taken back; 0: it stands */
    uint32_t team, site; /* as named; of a removal unused */
    uint32_t kept;       /* of the file: the last reading that had it */
    bool enrolled;
    bool ineligible;     /* of an enrolment: it names a place, and no more */
    bool file;           /* of roster.file: it may be taken back */
};

struct roster;
struct roster *roster_new(void);
void roster_free(struct roster *roster);

/* Adds a change; one that stands already is left alone. True when it was new. */
bool roster_put(struct roster *roster, uint32_t tenant, uint32_t agent, const struct roster_entry *entry);
/* Takes one back; what was derived before is still known as it was. False: there is none that stands. */
bool roster_drop(struct roster *roster, uint32_t tenant, uint32_t agent, const struct roster_entry *entry);

/* The file is read (once more): between the two, roster_keep for each change that it has; those that it has no longer are taken back. */
void roster_file_begin(struct roster *roster);
void roster_keep(struct roster *roster, uint32_t tenant, uint32_t agent, const struct roster_entry *entry);
void roster_file_end(struct roster *roster);

/* The newest sequence number; 0 when empty. */
uint32_t roster_sequence(const struct roster *roster);

/* Whether the agent is eligible just before this change, of those numbered up to `as_of`. */
bool roster_eligible_before(const struct roster *roster, uint32_t tenant, uint32_t agent, const struct roster_entry *change, uint32_t as_of);

/* Whether the agent is eligible by the changes before `before_ms`, all that are known; then `place` is its team and site. */
struct roster_place {
    uint32_t team, site;
};
bool roster_eligible(const struct roster *roster, uint32_t tenant, uint32_t agent, int64_t before_ms, struct roster_place *place);

/* Calls for each span of time [from, until) in which an agent is eligible in one place; INT64_MAX: it has no end so far. */
typedef void roster_span(void *context, struct roster_place place, int64_t from_ms, int64_t until_ms);
void roster_spans(const struct roster *roster, uint32_t tenant, uint32_t agent, roster_span *each, void *context);

/* The number of an agent's newest change; 0: there is none. */
uint32_t roster_changed(const struct roster *roster, uint32_t tenant, uint32_t agent);

/* Calls for each change numbered above `since`, in the order of their numbers; `gone`: it is taken back. */
typedef void roster_each(void *context, uint32_t tenant, uint32_t agent, const struct roster_entry *entry, bool gone);
void roster_since(const struct roster *roster, uint32_t since, roster_each *each, void *context);

/* Team and site of an agent at a time, of the changes numbered up to `as_of`: the latest at or before it, else the first after.
 * 0 where the roster has none. */
struct roster_place roster_find(const struct roster *roster, uint32_t tenant, uint32_t agent, int64_t at_ms, uint32_t as_of);

#endif
