/* demo_feed: a seeded contact centre: customers call, wait, are answered or leave, are held and transferred, rate the contact;
 * agents of different teams see chances to help and use the program more or less often. One language takes longer, one brand pleases
 * less, with one reason customers come back more often. Equal seeds and times give equal bytes. Among the events are duplicates, corrected records and late ones, as in a real feed. */
#ifndef ESTEEM_DEMO_FEED_H
#define ESTEEM_DEMO_FEED_H

#include <stddef.h>
#include <stdint.h>

struct demo_feed;

struct demo_feed *demo_feed_new(uint64_t seed, int64_t start_ms, double contacts_per_second);
void demo_feed_free(struct demo_feed *feed);

/* Hands over every event whose turn has come by until_ms, in order. `key` is the interaction, or the agent. */
typedef void demo_each(void *context, const char *key, const char *json, size_t length);
void demo_feed_until(struct demo_feed *feed, int64_t until_ms, demo_each *each, void *context);

#endif
