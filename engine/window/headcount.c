/* How many agents are eligible at a window's end, in the scopes that site, team and agent make. Each fold has the whole roster (base/roster.c). For
 * an agent's own key that is asked; for all others each (tenant, team, site) that matters has its steps:
 *
 *   time     +1 at each beginning of a span in which an agent is eligible there, -1 at its end
 *   sum      of the steps up to here: agents eligible after it, worked out when it is asked for
 *
 * A change of the roster takes the agent's spans out and puts the new ones in. Rows that said otherwise are told again: keys that it
 * concerns are marked with its time, and the next step visits their windows that end after it. A rolling window's end moves, and
 * may pass a change: then likewise. Bounded by the roster. */
#include "fold_parts.h"

#include <xxhash.h>

#include "esteem/intern.h"
#include "esteem/roster.h"

enum { PLACE_DIMENSIONS = 1 << DIMENSION_site | 1 << DIMENSION_team, ALL_DIMENSIONS = PLACE_DIMENSIONS | 1 << DIMENSION_agent };

struct step {
    int64_t time_ms, sum;
    int32_t delta;
};

/* Of one tenant, the agents in one team and site; NONE: in any. */
struct history {
    uint32_t tenant, team, site; /* tenant 0: an empty slot */
    uint32_t count, room, summed; /* sums are right up to `summed` */
    struct step *step;            /* ascending, one a time */
};

struct passing {
    int64_t time_ms;
    uint32_t tenant, agent;
};

struct headcount {
    struct intern strings;
    struct roster *roster;
    struct history *slot; /* open addressing */
    uint32_t slots, histories;
    struct passing *passing; /* all changes; the first `sorted` ascending */
    uint32_t count, room, sorted;
    bool marked; /* some keys are */
};

struct headcount *headcount_new(void)
{
    struct headcount *head = fold_must(calloc(1, sizeof *head));
    intern_init(&head->strings);
    head->roster = roster_new();
    head->slots = 64;
    head->slot = fold_must(calloc(head->slots, sizeof *head->slot));
    return head;
}

void headcount_free(struct headcount *head)
{
    if (head == NULL)
        return;
    for (uint32_t i = 0; i < head->slots; i++)
        free(head->slot[i].step);
    free(head->slot);
    free(head->passing);
    roster_free(head->roster);
    intern_close(&head->strings);
    free(head);
}

/* ---- histories ---- */

static struct history *find(const struct headcount *head, uint32_t tenant, uint32_t team, uint32_t site)
{
    const uint32_t name[3] = {tenant, team, site};
    uint32_t i = (uint32_t)XXH3_64bits(name, sizeof name) & (head->slots - 1);
    while (head->slot[i].tenant && (head->slot[i].tenant != tenant || head->slot[i].team != team || head->slot[i].site != site))
        i = (i + 1) & (head->slots - 1);
    return &head->slot[i];
}

static void grow(struct headcount *head)
{
    struct headcount old = *head;
    head->slots *= 2;
    head->slot = fold_must(calloc(head->slots, sizeof *head->slot));
    for (uint32_t i = 0; i < old.slots; i++)
        if (old.slot[i].tenant)
            *find(head, old.slot[i].tenant, old.slot[i].team, old.slot[i].site) = old.slot[i];
    free(old.slot);
}

/* The first step at or after a time. */
static uint32_t step_from(const struct history *history, int64_t time_ms)
{
    uint32_t low = 0, high = history->count;
    while (low < high) {
        uint32_t middle = (low + high) / 2;
        if (history->step[middle].time_ms < time_ms)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static void step_add(struct history *history, int64_t time_ms, int32_t delta)
{
    uint32_t at = step_from(history, time_ms);
    if (at < history->summed)
        history->summed = at;
    if (at < history->count && history->step[at].time_ms == time_ms) {
        history->step[at].delta += delta;
        return;
    }
    if (history->count == history->room) {
        history->room = history->room ? history->room * 2 : 8;
        history->step = fold_must(realloc(history->step, history->room * sizeof *history->step));
    }
    memmove(&history->step[at + 1], &history->step[at], (history->count - at) * sizeof *history->step);
    history->step[at] = (struct step){.time_ms = time_ms, .delta = delta};
    history->count++;
}

/* Agents eligible by the changes before a time. */
static int64_t count_before(struct history *history, int64_t time_ms)
{
    uint32_t at = step_from(history, time_ms);
    for (; history->summed < at; history->summed++) {
        struct step *step = &history->step[history->summed];
        step->sum = (history->summed ? step[-1].sum : 0) + step->delta;
    }
    return at ? history->step[at - 1].sum : 0;
}

struct spans {
    struct headcount *head;
    uint32_t tenant;
    int32_t sign;
};

/* A span of an agent, in each of the (at most four) counts that it is of. */
static void count_span(void *context, struct roster_place place, int64_t from_ms, int64_t until_ms)
{
    struct spans *spans = context;
    struct headcount *head = spans->head;
    const uint32_t team[2] = {NONE, place.team}, site[2] = {NONE, place.site};
    for (int t = 0; t < 1 + (place.team != 0); t++)
        for (int s = 0; s < 1 + (place.site != 0); s++) {
            if (head->histories * 2 >= head->slots)
                grow(head);
            struct history *history = find(head, spans->tenant, team[t], site[s]);
            head->histories += history->tenant == 0;
            history->tenant = spans->tenant;
            history->team = team[t];
            history->site = site[s];
            step_add(history, from_ms, spans->sign);
            if (until_ms != INT64_MAX)
                step_add(history, until_ms, -spans->sign);
        }
}

/* ---- asking ---- */

/* The key's value of a dimension: NONE where it has none, 0 where the roster does not know it. */
static uint32_t value_of(const struct headcount *head, const struct key *key, int dimension)
{
    for (int v = 0; v < key->count; v++)
        if (key->dimension[v] == dimension)
            return intern_find(&head->strings, key->value[v], (uint32_t)strlen(key->value[v]));
    return NONE;
}

int64_t headcount_at(struct fold *fold, const struct key *key, int64_t end_ms)
{
    struct headcount *head = fold->head;
    uint32_t tenant = intern_find(&head->strings, key->tenant, (uint32_t)strlen(key->tenant));
    if (key->mask & ~(uint32_t)ALL_DIMENSIONS || tenant == 0)
        return 0;
    uint32_t team = value_of(head, key, DIMENSION_team), site = value_of(head, key, DIMENSION_site), agent = value_of(head, key, DIMENSION_agent);
    if (team == 0 || site == 0 || agent == 0)
        return 0;
    if (agent == NONE)
        return count_before(find(head, tenant, team, site), end_ms);
    struct roster_place place;
    return roster_eligible(head->roster, tenant, agent, end_ms, &place) && (team == NONE || team == place.team) &&
           (site == NONE || site == place.site);
}

/* ---- keys that a change concerns ---- */

typedef void concerned(struct fold *fold, uint32_t k, int64_t value);

/* Each configured key of site, team and agent that an agent eligible in `place` counts in. */
static void each_key(struct fold *fold, uint32_t tenant, uint32_t agent, struct roster_place place, concerned *each, int64_t value)
{
    const struct intern *strings = &fold->head->strings;
    uint32_t id[DIMENSION_MAX] = {[DIMENSION_site] = place.site, [DIMENSION_team] = place.team, [DIMENSION_agent] = agent};
    for (int s = 0; s < fold->config->scope_count; s++) {
        struct scope_key key = {.scope = fold->config->scope[s].dimensions, .tenant = intern_text(strings, tenant)};
        bool whole = !(key.scope & ~(uint32_t)ALL_DIMENSIONS);
        for (uint32_t left = key.scope; left && whole; left &= left - 1) {
            int i = __builtin_ctz(left);
            whole = id[i] != 0;
            key.dimension[key.count] = (uint8_t)i;
            key.value[key.count++] = whole ? intern_text(strings, id[i]) : "";
        }
        uint32_t k = whole ? fold_key_find(fold, &key) : NONE;
        if (k != NONE)
            each(fold, k, value);
    }
}

static void mark(struct fold *fold, uint32_t k, int64_t since_ms)
{
    if (since_ms < fold->key[k]->headcount_ms)
        fold->key[k]->headcount_ms = since_ms;
    fold->head->marked = true;
}

static void passes(struct fold *fold, uint32_t k, int64_t window)
{
    outlets_rolling_changed(fold, k, (int)window);
}

/* Keys in which the agent counts just after a time. */
static void each_key_at(struct fold *fold, uint32_t tenant, uint32_t agent, int64_t before_ms, concerned *each, int64_t value)
{
    struct roster_place place;
    if (roster_eligible(fold->head->roster, tenant, agent, before_ms, &place))
        each_key(fold, tenant, agent, place, each, value);
}

/* ---- changes ---- */

static uint32_t word(struct headcount *head, const char *text)
{
    return *text ? intern_put(&head->strings, text, (uint32_t)strlen(text)) : 0;
}

static int by_time(const void *left, const void *right)
{
    const struct passing *a = left, *b = right;
    return (a->time_ms > b->time_ms) - (a->time_ms < b->time_ms);
}

/* The first change at or after a time. A roster comes whole at the start: sorted when it is asked, not with each. */
static uint32_t passing_from(struct headcount *head, int64_t time_ms)
{
    if (head->sorted < head->count)
        qsort(head->passing, head->count, sizeof *head->passing, by_time);
    head->sorted = head->count;
    uint32_t low = 0, high = head->count;
    while (low < high) {
        uint32_t middle = (low + high) / 2;
        if (head->passing[middle].time_ms < time_ms)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static void passing_put(struct headcount *head, struct passing one)
{
    if (head->count == head->room) {
        head->room = head->room ? head->room * 2 : 64;
        head->passing = fold_must(realloc(head->passing, head->room * sizeof *head->passing));
    }
    head->passing[head->count++] = one;
}

void headcount_change(struct fold *fold, const struct batch_roster *change)
{
    struct headcount *head = fold->head;
    uint32_t tenant = word(head, change->tenant), agent = word(head, change->agent);
    struct roster_entry entry = {.time_ms = change->time_ms, .id_hash = change->id_hash, .enrolled = change->enrolled,
                                 .ineligible = change->ineligible, .file = change->file, .team = word(head, change->team), .site = word(head, change->site)};
    struct spans spans = {head, tenant, -1};
    each_key_at(fold, tenant, agent, change->time_ms + 1, mark, change->time_ms);
    roster_spans(head->roster, tenant, agent, count_span, &spans);
    bool news = change->gone ? roster_drop(head->roster, tenant, agent, &entry) : roster_put(head->roster, tenant, agent, &entry);
    spans.sign = 1;
    roster_spans(head->roster, tenant, agent, count_span, &spans);
    each_key_at(fold, tenant, agent, change->time_ms + 1, mark, change->time_ms);
    if (news)
        passing_put(head, (struct passing){change->time_ms, tenant, agent});
}

/* ---- rows that say something else now ---- */

void headcount_pass(struct fold *fold, int window, int64_t from_ms, int64_t to_ms)
{
    struct headcount *head = fold->head;
    if (from_ms >= to_ms)
        return;
    for (uint32_t i = passing_from(head, from_ms); i < head->count && head->passing[i].time_ms < to_ms; i++) {
        struct passing one = head->passing[i];
        each_key_at(fold, one.tenant, one.agent, one.time_ms, passes, window);
        each_key_at(fold, one.tenant, one.agent, one.time_ms + 1, passes, window);
    }
}

static void tell_again(struct fold *fold, uint32_t k)
{
    for (int w = 0; w < fold->rolling_count; w++)
        if (fold->key[k]->headcount_ms < pane_edges(fold->ladder, w)->right_ms)
            outlets_rolling_changed(fold, k, w);
}

/* Rare, so that a look at every cell costs less than lists of them would: changes come by the handful, or all at once. */
void headcount_step(struct fold *fold)
{
    if (!fold->head->marked)
        return;
    for (uint32_t c = 0; c < fold->cells_made; c++) {
        const struct cell *cell = &fold->cell[c];
        if (cell_has_row(fold, cell) && fold->key[cell->key]->headcount_ms < cell_end_ms(cell))
            cell_changed(fold, c);
    }
    for (uint32_t k = 0; k < fold->keys; k++) {
        if (fold->key[k]->headcount_ms != INT64_MAX)
            tell_again(fold, k);
        fold->key[k]->headcount_ms = INT64_MAX;
    }
    fold->head->marked = false;
}
