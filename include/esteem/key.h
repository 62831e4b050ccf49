/* key: a scope key, e.g. acme / queue=billing,channel=chat, in the form in which it travels from a shard to its fold: strings,
 * because every shard has numbers of its own. */
#ifndef ESTEEM_KEY_H
#define ESTEEM_KEY_H

#include <stdint.h>

#include "esteem/event.h"

struct scope_key {
    uint32_t scope; /* bit i: dimension i is in the scope */
    const char *tenant;
    uint8_t count;
    uint8_t dimension[DIMENSION_MAX]; /* ascending */
    const char *value[DIMENSION_MAX];
};

/* A bit beyond the dimensions. In a list of scopes: the scope's distinct agents are counted. In a key: it is that of one agent within the key of
 * the other dimensions, and the agent is its last value; it holds what says whether that agent counts, and has no row of its own. */
#define SCOPE_AGENTS_BIT 31
#define SCOPE_AGENTS (UINT32_C(1) << SCOPE_AGENTS_BIT)
/* Of a bundle: keys of one agent within others, in one fold, that a tuple adds to, always the same to each. It is numbered like a key, and has no
 * strings: what goes to it goes to each of its parts. */
#define SCOPE_BUNDLE (UINT32_C(1) << 30)
enum { BUNDLE_MOST = 32 /* parts: one a scope */ };

/* The key that an agent's key lies within; any other key is itself. */
static inline struct scope_key key_within(const struct scope_key *key)
{
    struct scope_key within = *key;
    if (key->scope & SCOPE_AGENTS)
        within.count--;
    within.scope &= ~SCOPE_AGENTS;
    return within;
}

uint64_t key_hash(const struct scope_key *key);
/* The key of all its channels together: itself where it has none. Its strings are the key's. */
struct scope_key key_without_channel(const struct scope_key *key);
/* The fold that owns it: one for a key, those of its channels, which are compared there, and those of agents within them. */
uint32_t key_fold(const struct scope_key *key, int folds);

/* The same of a bundle, from the hashes of its parts. */
uint64_t bundle_hash(const uint64_t *part, uint32_t parts);

/* Keys known to exist, counted a scope: the one place that decides which key is beyond limits.keys and so goes to __other__.
 * Asked once by each shard for each new key; a mutex guards it. */
struct key_registry;
struct key_registry *key_registry_new(uint64_t keys_a_scope);
void key_registry_free(struct key_registry *registry);
/* True when the key may have windows of its own. */
int key_registry_admit(struct key_registry *registry, const struct scope_key *key);
/* The key has windows of its own already, whatever the limit is now. */
void key_registry_restore(struct key_registry *registry, const struct scope_key *key);
/* The same of a bundle: they are counted as if they were of one scope. Without, its parts are added to one by one. */
int key_registry_admit_bundle(struct key_registry *registry, uint64_t hash);
/* Whether it was admitted before, or restored. */
int key_registry_knows_bundle(struct key_registry *registry, uint64_t hash);
void key_registry_restore_bundle(struct key_registry *registry, uint64_t hash);
/* While memory is short: no new key is admitted. Any thread. */
void key_registry_press(struct key_registry *registry, int pressed);
uint64_t key_registry_refused(struct key_registry *registry);

#define KEY_OTHER "__other__"

#endif
