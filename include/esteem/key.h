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

uint64_t key_hash(const struct scope_key *key);
/* The key of all its channels together: itself where it has none. Its strings are the key's. */
struct scope_key key_without_channel(const struct scope_key *key);
/* The fold that owns it: one for a key and those of its channels, which are compared there. */
uint32_t key_fold(const struct scope_key *key, int folds);

/* Keys known to exist, counted a scope: the one place that decides which key is beyond limits.keys and so goes to __other__.
 * Asked once by each shard for each new key; a mutex guards it. */
struct key_registry;
struct key_registry *key_registry_new(uint64_t keys_a_scope);
void key_registry_free(struct key_registry *registry);
/* True when the key may have windows of its own. */
int key_registry_admit(struct key_registry *registry, const struct scope_key *key);
/* The key has windows of its own already, whatever the limit is now. */
void key_registry_restore(struct key_registry *registry, const struct scope_key *key);
/* While memory is short: no new key is admitted. Any thread. */
void key_registry_press(struct key_registry *registry, int pressed);
uint64_t key_registry_refused(struct key_registry *registry);

#define KEY_OTHER "__other__"

#endif
