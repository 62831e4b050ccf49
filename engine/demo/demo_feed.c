/* A contact is planned whole when it begins: its events go into a heap by the time at which they are sent (a late one is sent
 * after its own time). demo_feed_until takes from the heap what is due. */
#include "esteem/demo_feed.h"

#include <math.h>
#include <stdbool.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "esteem/err.h"

enum { EVENT_MAX = 640, AGENTS = 24, QUEUES = 4 };

static const char *const queues[QUEUES] = {"billing", "sales", "support", "returns"};
static const char *const teams[] = {"north", "south", "east"};
static const char *const elements[] = {"apology", "appreciation", "gift", "life_event"};
static const double use_share[] = {0.8, 0.5, 0.2}; /* by team: the best groups reach 80 %, the worst 20 % */
static const double wait_mean_s[QUEUES] = {12, 8, 25, 16};

struct planned {
    int64_t send_ms;
    uint64_t order;
    char key[32];
    char json[EVENT_MAX];
};

struct demo_feed {
    uint64_t random, order, contacts;
    int64_t next_ms;
    double gap_ms;
    struct planned **heap;
    size_t count, room;
};

/* splitmix64 */
static uint64_t next(struct demo_feed *feed)
{
    uint64_t x = feed->random += UINT64_C(0x9e3779b97f4a7c15);
    x = (x ^ (x >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    x = (x ^ (x >> 27)) * UINT64_C(0x94d049bb133111eb);
    return x ^ (x >> 31);
}

static double share(struct demo_feed *feed)
{
    return (double)(next(feed) >> 11) / 9007199254740992.0;
}

static int64_t exponential_ms(struct demo_feed *feed, double mean_s)
{
    return (int64_t)(-log(1 - share(feed)) * mean_s * 1000);
}

static bool chance(struct demo_feed *feed, double p)
{
    return share(feed) < p;
}

struct demo_feed *demo_feed_new(uint64_t seed, int64_t start_ms, double contacts_per_second)
{
    struct demo_feed *feed = calloc(1, sizeof *feed);
    ensure(feed != NULL, "the machine has memory left");
    feed->random = seed;
    feed->next_ms = start_ms;
    feed->gap_ms = 1000 / contacts_per_second;
    return feed;
}

void demo_feed_free(struct demo_feed *feed)
{
    if (feed == NULL)
        return;
    for (size_t i = 0; i < feed->count; i++)
        free(feed->heap[i]);
    free(feed->heap);
    free(feed);
}

/* ---- the heap ---- */

static bool before(const struct planned *a, const struct planned *b)
{
    return a->send_ms != b->send_ms ? a->send_ms < b->send_ms : a->order < b->order;
}

static void push(struct demo_feed *feed, struct planned *planned)
{
    if (feed->count == feed->room) {
        feed->room = feed->room ? feed->room * 2 : 256;
        feed->heap = realloc(feed->heap, feed->room * sizeof(struct planned *));
        ensure(feed->heap != NULL, "the machine has memory left");
    }
    size_t i = feed->count++;
    for (; i > 0 && before(planned, feed->heap[(i - 1) / 2]); i = (i - 1) / 2)
        feed->heap[i] = feed->heap[(i - 1) / 2];
    feed->heap[i] = planned;
}

static struct planned *pop(struct demo_feed *feed)
{
    struct planned *top = feed->heap[0], *last = feed->heap[--feed->count];
    size_t i = 0;
    for (size_t child; (child = 2 * i + 1) < feed->count; i = child) {
        child += child + 1 < feed->count && before(feed->heap[child + 1], feed->heap[child]);
        if (!before(feed->heap[child], last))
            break;
        feed->heap[i] = feed->heap[child];
    }
    if (feed->count)
        feed->heap[i] = last;
    return top;
}

/* ---- contacts ---- */

struct contact {
    uint64_t number;
    int queue, agent, events;
    int64_t at_ms;
};

/* Plans one event at contact->at_ms; `fields` begins with a comma or is empty. */
__attribute__((format(printf, 4, 5)))
static void plan(struct demo_feed *feed, struct contact *contact, const char *type, const char *fields, ...)
{
    struct planned *planned = malloc(sizeof *planned);
    ensure(planned != NULL, "the machine has memory left");
    int64_t late_ms = chance(feed, 0.03) ? (int64_t)(share(feed) * 1500) : 0;
    planned->send_ms = contact->at_ms + late_ms;
    planned->order = feed->order++;
    snprintf(planned->key, sizeof planned->key, "c%llu", (unsigned long long)contact->number);
    int length = snprintf(planned->json, EVENT_MAX, "{\"id\":\"%s-%d\",\"type\":\"%s\",\"time\":%lld,\"tenant\":\"acme\",\"interaction\":\"%s\"",
                          planned->key, contact->events++, type, (long long)contact->at_ms, planned->key);
    va_list arguments;
    va_start(arguments, fields);
    length += vsnprintf(planned->json + length, (size_t)(EVENT_MAX - length), fields, arguments);
    va_end(arguments);
    snprintf(planned->json + length, (size_t)(EVENT_MAX - length), "}");
    push(feed, planned);
    if (!chance(feed, 0.02))
        return;
    struct planned *twin = malloc(sizeof *twin); /* at least once: the same event again */
    ensure(twin != NULL, "the machine has memory left");
    *twin = *planned;
    twin->send_ms += (int64_t)(share(feed) * 5000);
    twin->order = feed->order++;
    push(feed, twin);
}

static void plan_program(struct demo_feed *feed, struct contact *contact, bool *helped)
{
    if (!chance(feed, 0.15))
        return;
    const char *element = elements[next(feed) % 4];
    plan(feed, contact, "opportunity.seen", ",\"element\":\"%s\",\"agent\":\"agent-%02d\"", element, contact->agent);
    *helped = chance(feed, use_share[contact->agent % 3]);
    if (*helped)
        plan(feed, contact, "program.used", ",\"element\":\"%s\",\"agent\":\"agent-%02d\",\"cost\":%d", element, contact->agent,
             strcmp(element, "gift") == 0 ? 1500 : 0);
}

static void plan_survey(struct demo_feed *feed, struct contact *contact, bool pleased, bool helped)
{
    contact->at_ms += 1000;
    plan(feed, contact, "survey.sent", "%s", "");
    if (!chance(feed, 0.4))
        return;
    contact->at_ms += 2000 + exponential_ms(feed, 8);
    double mood = share(feed) + (pleased ? 0.25 : -0.15) + (helped ? 0.15 : 0);
    int csat = mood > 0.75 ? 5 : mood > 0.45 ? 4 : mood > 0.25 ? 3 : mood > 0.1 ? 2 : 1;
    int nps = (int)(mood * 9) + 2;
    nps = nps < 0 ? 0 : nps > 10 ? 10 : nps;
    plan(feed, contact, "survey.answered", ",\"survey\":\"s\",\"csat\":%d,\"nps\":%d%s", csat, nps,
         chance(feed, 0.2) ? ",\"comment\":\"thank you\"" : "");
    if (!chance(feed, 0.05))
        return;
    contact->at_ms += 4000; /* the customer changes their mind */
    plan(feed, contact, "survey.answered", ",\"survey\":\"s\",\"version\":1,\"csat\":%d,\"nps\":%d", csat > 1 ? csat - 1 : 2, nps);
}

static void plan_talk(struct demo_feed *feed, struct contact *contact)
{
    contact->at_ms += 2000 + exponential_ms(feed, 18);
    if (!chance(feed, 0.25))
        return;
    plan(feed, contact, "interaction.held", "%s", "");
    contact->at_ms += 1000 + exponential_ms(feed, 6);
    plan(feed, contact, "interaction.resumed", "%s", "");
    contact->at_ms += exponential_ms(feed, 5);
}

static void plan_contact(struct demo_feed *feed)
{
    struct contact contact = {.number = feed->contacts++, .at_ms = feed->next_ms};
    contact.queue = (int)(next(feed) % QUEUES);
    contact.agent = (int)(next(feed) % AGENTS);
    const char *channel = contact.queue == 2 && chance(feed, 0.5) ? "chat" : "voice";
    plan(feed, &contact, "interaction.offered", ",\"queue\":\"%s\",\"channel\":\"%s\",\"customer\":\"u%llu\"", queues[contact.queue], channel,
         (unsigned long long)(next(feed) % 100000));
    int64_t wait_ms = exponential_ms(feed, wait_mean_s[contact.queue]);
    bool pleased = wait_ms < 20000;
    if (wait_ms > 30000 && chance(feed, 0.4)) {
        contact.at_ms += 30000;
        plan(feed, &contact, "interaction.abandoned", "%s", "");
        return;
    }
    contact.at_ms += wait_ms;
    plan(feed, &contact, "interaction.answered", ",\"agent\":\"agent-%02d\",\"team\":\"%s\"", contact.agent, teams[contact.agent % 3]);
    plan_talk(feed, &contact);
    if (chance(feed, 0.1)) {
        plan(feed, &contact, "interaction.transferred", ",\"queue\":\"%s\"", queues[(contact.queue + 1) % QUEUES]);
        contact.agent = (contact.agent + 1) % AGENTS;
        contact.at_ms += exponential_ms(feed, 5);
        plan(feed, &contact, "interaction.answered", ",\"agent\":\"agent-%02d\",\"team\":\"%s\"", contact.agent, teams[contact.agent % 3]);
        plan_talk(feed, &contact);
    }
    bool helped = false;
    plan_program(feed, &contact, &helped);
    contact.at_ms += 500;
    plan(feed, &contact, "interaction.ended", ",\"resolved\":%s", chance(feed, pleased ? 0.85 : 0.7) ? "true" : "false");
    struct contact after = contact;
    contact.at_ms += 1000 + exponential_ms(feed, 4);
    plan(feed, &contact, "interaction.wrapped", ",\"agent\":\"agent-%02d\"", contact.agent);
    after.events = contact.events;
    plan_survey(feed, &after, pleased, helped);
}

void demo_feed_until(struct demo_feed *feed, int64_t until_ms, demo_each *each, void *context)
{
    while (feed->next_ms <= until_ms) {
        plan_contact(feed);
        feed->next_ms += 1 + exponential_ms(feed, feed->gap_ms / 1000);
    }
    while (feed->count && feed->heap[0]->send_ms <= until_ms) {
        struct planned *planned = pop(feed);
        each(context, planned->key, planned->json, strlen(planned->json));
        free(planned);
    }
}
