/* A contact is planned whole when it begins: its events go into a heap by the time at which they are sent (a late one is sent
 * after its own time). demo_feed_until takes from the heap what is due. An agent has one contact at a time, so its states and segments
 * fit: ready, busy, wrap, ready, now and then away. */
#include "esteem/demo_feed.h"

#include <math.h>
#include <stdbool.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "esteem/err.h"

enum { EVENT_MAX = 640, AGENTS = 180, QUEUES = 4, BACK_MAX = 64, AGENT_TRIES = 16 };

static const char *const queues[QUEUES] = {"billing", "sales", "support", "returns"};
static const char *const teams[] = {"north", "south", "east"};
static const char *const elements[] = {"apology", "appreciation", "gift", "life_event"};
static const double use_share[] = {0.8, 0.5, 0.2}; /* by team: the best groups reach 80 %, the worst 20 % */
static const char *const sites[] = {"bonn", "lyon", "bonn"};
static const char *const brands[] = {"premium", "basic"};       /* customers of the second are pleased less */
static const char *const languages[] = {"en", "de", "fr"};
static const double talk_mean_s[] = {16, 18, 26};               /* by language */
static const char *const reasons[] = {"invoice", "order", "defect"};
static const double back_share[] = {0.05, 0.05, 0.35};          /* by reason: who comes back within minutes */
static const double wait_mean_s[QUEUES] = {12, 8, 25, 16};

struct planned {
    int64_t send_ms;
    uint64_t order;
    char key[32];
    char json[EVENT_MAX];
};

/* What events are about, and how many of it there are. */
struct story {
    const char *names; /* what the key is: an interaction or an agent */
    char key[32];
    int events;
    int64_t at_ms;
};

struct agent {
    struct story story;
    int64_t free_ms;
};

struct customer {
    uint64_t number;
    int brand, language, reason;
    int64_t due_ms; /* when they come back */
};

struct demo_feed {
    uint64_t random, order, contacts;
    int64_t next_ms;
    struct agent agent[AGENTS];
    struct customer back[BACK_MAX]; /* who will come back; the first ones that are planned */
    int backs;
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
    struct story story;
    struct customer customer;
    int queue, agent;
};

/* Plans one event at story->at_ms; `fields` begins with a comma or is empty. */
__attribute__((format(printf, 4, 5)))
static void plan(struct demo_feed *feed, struct story *story, const char *type, const char *fields, ...)
{
    struct planned *planned = malloc(sizeof *planned);
    ensure(planned != NULL, "the machine has memory left");
    int64_t late_ms = chance(feed, 0.03) ? (int64_t)(share(feed) * 1500) : 0;
    planned->send_ms = story->at_ms + late_ms;
    planned->order = feed->order++;
    snprintf(planned->key, sizeof planned->key, "%s", story->key);
    int length = snprintf(planned->json, EVENT_MAX, "{\"id\":\"%s-%d\",\"type\":\"%s\",\"time\":%lld,\"tenant\":\"acme\",\"%s\":\"%s\"", story->key,
                          story->events++, type, (long long)story->at_ms, story->names, story->key);
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

/* ---- agents ---- */

static void plan_state(struct demo_feed *feed, int agent, const char *state, int64_t at_ms)
{
    struct story *story = &feed->agent[agent].story;
    story->at_ms = at_ms;
    plan(feed, story, "agent.state", ",\"state\":\"%s\",\"team\":\"%s\",\"site\":\"%s\"", state, teams[agent % 3], sites[agent % 3]);
}

static void enrol(struct demo_feed *feed, int agent, int64_t at_ms)
{
    struct story *story = &feed->agent[agent].story;
    *story = (struct story){.names = "agent", .at_ms = at_ms};
    snprintf(story->key, sizeof story->key, "agent-%03d", agent);
    plan(feed, story, "agent.enrolled", ",\"team\":\"%s\",\"site\":\"%s\"", teams[agent % 3], sites[agent % 3]);
    plan_state(feed, agent, "ready", at_ms);
}

/* One who is free then, by chance; after some tries whoever is free first. */
static int free_agent(struct demo_feed *feed, int64_t at_ms)
{
    int agent = 0;
    for (int i = 0; i < AGENT_TRIES; i++) {
        agent = (int)(next(feed) % AGENTS);
        if (feed->agent[agent].free_ms <= at_ms)
            return agent;
    }
    for (int i = 0; i < AGENTS; i++)
        if (feed->agent[i].free_ms < feed->agent[agent].free_ms)
            agent = i;
    return agent;
}

/* The customer waits on while nobody is free. */
static void plan_answer(struct demo_feed *feed, struct contact *contact)
{
    int agent = contact->agent = free_agent(feed, contact->story.at_ms);
    if (feed->agent[agent].free_ms > contact->story.at_ms)
        contact->story.at_ms = feed->agent[agent].free_ms;
    plan(feed, &contact->story, "interaction.answered", ",\"agent\":\"%s\",\"team\":\"%s\",\"site\":\"%s\"", feed->agent[agent].story.key,
         teams[agent % 3], sites[agent % 3]);
    plan_state(feed, agent, "busy", contact->story.at_ms);
}

static void plan_ready(struct demo_feed *feed, int agent, int64_t at_ms)
{
    if (chance(feed, 0.1)) {
        plan_state(feed, agent, "away", at_ms);
        at_ms += 10000 + exponential_ms(feed, 20);
    }
    plan_state(feed, agent, "ready", at_ms);
    feed->agent[agent].free_ms = at_ms + 1;
}

/* ---- the course of a contact ---- */

static void plan_program(struct demo_feed *feed, struct contact *contact, bool *helped)
{
    if (!chance(feed, 0.2))
        return;
    const char *element = elements[next(feed) % 4], *agent = feed->agent[contact->agent].story.key;
    plan(feed, &contact->story, "opportunity.seen", ",\"element\":\"%s\",\"agent\":\"%s\"", element, agent);
    *helped = chance(feed, use_share[contact->agent % 3]);
    if (*helped)
        plan(feed, &contact->story, "program.used", ",\"element\":\"%s\",\"agent\":\"%s\",\"cost\":%d", element, agent,
             strcmp(element, "gift") == 0 ? 1500 : 0);
}

static void plan_survey(struct demo_feed *feed, struct contact *contact, bool pleased, bool helped)
{
    contact->story.at_ms += 1000;
    plan(feed, &contact->story, "survey.sent", "%s", "");
    if (!chance(feed, 0.4))
        return;
    contact->story.at_ms += 2000 + exponential_ms(feed, 8);
    double mood = share(feed) + (pleased ? 0.25 : -0.15) + (helped ? 0.3 : 0) - (contact->customer.brand ? 0.2 : 0);
    int csat = mood > 0.75 ? 5 : mood > 0.45 ? 4 : mood > 0.25 ? 3 : mood > 0.1 ? 2 : 1;
    int nps = (int)(mood * 9) + 2;
    nps = nps < 0 ? 0 : nps > 10 ? 10 : nps;
    plan(feed, &contact->story, "survey.answered", ",\"survey\":\"s\",\"csat\":%d,\"nps\":%d%s", csat, nps,
         chance(feed, 0.2) ? ",\"comment\":\"thank you\"" : "");
    if (!chance(feed, 0.05))
        return;
    contact->story.at_ms += 4000; /* the customer changes their mind */
    plan(feed, &contact->story, "survey.answered", ",\"survey\":\"s\",\"version\":1,\"csat\":%d,\"nps\":%d", csat > 1 ? csat - 1 : 2, nps);
}

static void plan_talk(struct demo_feed *feed, struct contact *contact)
{
    contact->story.at_ms += 2000 + exponential_ms(feed, talk_mean_s[contact->customer.language]);
    if (!chance(feed, 0.25))
        return;
    plan(feed, &contact->story, "interaction.held", "%s", "");
    contact->story.at_ms += 1000 + exponential_ms(feed, 6);
    plan(feed, &contact->story, "interaction.resumed", "%s", "");
    contact->story.at_ms += exponential_ms(feed, 5);
}

/* Of those who are due the first; else somebody new. */
static struct customer who_calls(struct demo_feed *feed)
{
    for (int i = 0; i < feed->backs; i++)
        if (feed->back[i].due_ms <= feed->next_ms) {
            struct customer customer = feed->back[i];
            feed->back[i] = feed->back[--feed->backs];
            return customer;
        }
    return (struct customer){.number = feed->contacts, .brand = (int)(next(feed) % 2), .language = (int)(next(feed) % 3),
                             .reason = (int)(next(feed) % 3)};
}

static void maybe_comes_back(struct demo_feed *feed, struct contact *contact)
{
    if (feed->backs == BACK_MAX || !chance(feed, back_share[contact->customer.reason]))
        return;
    contact->customer.due_ms = contact->story.at_ms + 20000 + exponential_ms(feed, 60);
    feed->back[feed->backs++] = contact->customer;
}

/* False: they left before any answer. */
static bool plan_wait(struct demo_feed *feed, struct contact *contact)
{
    const struct customer *customer = &contact->customer;
    const char *channel = contact->queue == 2 && chance(feed, 0.5) ? "chat" : "voice";
    plan(feed, &contact->story, "interaction.offered",
         ",\"queue\":\"%s\",\"channel\":\"%s\",\"customer\":\"u%llu\""
         ",\"brand\":\"%s\",\"language\":\"%s\",\"reason\":\"%s\"", queues[contact->queue], channel,
         (unsigned long long)customer->number, brands[customer->brand], languages[customer->language], reasons[customer->reason]);
    int64_t wait_ms = exponential_ms(feed, wait_mean_s[contact->queue]);
    if (wait_ms > 30000 && chance(feed, 0.4)) {
        contact->story.at_ms += 30000;
        plan(feed, &contact->story, "interaction.abandoned", "%s", "");
        return false;
    }
    contact->story.at_ms += wait_ms;
    return true;
}

static void plan_transfer(struct demo_feed *feed, struct contact *contact)
{
    plan(feed, &contact->story, "interaction.transferred", ",\"queue\":\"%s\"", queues[(contact->queue + 1) % QUEUES]);
    plan_ready(feed, contact->agent, contact->story.at_ms);
    contact->story.at_ms += exponential_ms(feed, 5);
    plan_answer(feed, contact);
    plan_talk(feed, contact);
}

static void plan_contact(struct demo_feed *feed)
{
    struct contact contact = {.story = {.names = "interaction", .at_ms = feed->next_ms}, .customer = who_calls(feed)};
    snprintf(contact.story.key, sizeof contact.story.key, "c%llu", (unsigned long long)feed->contacts++);
    contact.queue = (int)(next(feed) % QUEUES);
    if (!plan_wait(feed, &contact))
        return;
    plan_answer(feed, &contact);
    bool pleased = contact.story.at_ms - feed->next_ms < 20000, helped = false;
    plan_talk(feed, &contact);
    if (chance(feed, 0.1))
        plan_transfer(feed, &contact);
    plan_program(feed, &contact, &helped);
    contact.story.at_ms += 500;
    plan(feed, &contact.story, "interaction.ended", ",\"resolved\":%s", chance(feed, pleased ? 0.85 : 0.7) ? "true" : "false");
    plan_state(feed, contact.agent, "wrap", contact.story.at_ms);
    maybe_comes_back(feed, &contact);
    int64_t ended_ms = contact.story.at_ms;
    contact.story.at_ms += 1000 + exponential_ms(feed, 4);
    plan(feed, &contact.story, "interaction.wrapped", ",\"agent\":\"%s\"", feed->agent[contact.agent].story.key);
    plan_ready(feed, contact.agent, contact.story.at_ms);
    contact.story.at_ms = ended_ms;
    plan_survey(feed, &contact, pleased, helped);
}

/* ---- its course ---- */

struct demo_feed *demo_feed_new(uint64_t seed, int64_t start_ms, double contacts_per_second)
{
    struct demo_feed *feed = calloc(1, sizeof *feed);
    ensure(feed != NULL, "the machine has memory left");
    feed->random = seed;
    feed->next_ms = start_ms;
    feed->gap_ms = 1000 / contacts_per_second;
    for (int i = 0; i < AGENTS; i++)
        enrol(feed, i, start_ms);
    return feed;
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
