/* What has changed waits in a queue an outlet and window, each item once, oldest first. A row is made when it goes out, so it is always
 * the newest; where an outlet has no room, items stay where they are.
 *
 * Scopes that have many keys have a line and a pace of their own (publish.tick_many): nobody reads thousands of agents ten times a second.
 * A sink may still be slower than what changes. Then the windows take turns, some rows each; and within a window rows of scopes that have few keys
 * go before those of scopes that have many, three for one: a queue's service level does not wait behind thousands of agents, and they are told too. */
#include "fold_parts.h"

#include <xxhash.h>

enum { PACE_LEAST_MS = 1000, PACE_MOST_MS = 60000, PACE_SHARE = 300, PACE_LONGEST_MS = 3600000 /* topics.every at most */,
       TICK_WINDOW_MS = 300000 /* windows up to this are published each tick */, FEW = 1000 /* keys of a scope */, TURNS = 4,
       ROWS_A_TURN = 64 };

/* ---- queues ---- */

static void line_put(struct line *line, uint32_t item)
{
    if (line->count == line->room) {
        uint32_t room = line->room ? line->room * 2 : 64;
        uint32_t *ring = fold_must(malloc(room * sizeof *ring));
        for (uint32_t i = 0; i < line->count; i++)
            ring[i] = line->item[(line->first + i) & (line->room - 1)];
        free(line->item);
        line->item = ring;
        line->first = 0;
        line->room = room;
    }
    line->item[(line->first + line->count++) & (line->room - 1)] = item;
}

static void queue_put(const struct fold *fold, struct queue *queue, const struct key *key, uint32_t item)
{
    bool many = (int64_t)fold->scope_keys[key->scope_index].keys * fold->setup.folds > FEW;
    line_put(many ? &queue->many : &queue->few, item);
}

static uint32_t queue_count(const struct queue *queue)
{
    return queue->few.count + queue->many.count;
}

static uint32_t queue_owed(const struct queue *queue)
{
    return queue->few.owed + queue->many.owed;
}

/* The line of the next item that is owed, of a queue that owes some. */
static struct line *queue_line(struct queue *queue)
{
    bool many = queue->few.owed == 0 || (queue->many.owed && queue->turn == TURNS - 1);
    return many ? &queue->many : &queue->few;
}

static void queue_took(struct queue *queue, struct line *line)
{
    line->first = (line->first + 1) & (line->room - 1);
    line->count--;
    line->owed--;
    queue->turn = (queue->turn + 1) % TURNS;
}

static void line_owe(struct line *line, int64_t clock_ms)
{
    bool early = clock_ms < line->due_ms && line->due_ms - clock_ms <= PACE_LONGEST_MS; /* else the clock was set back */
    if (line->owed > line->count || (line->owed == 0 && !early))
        line->owed = line->count;
}

static void queue_owe_all(struct queue *queue)
{
    queue->few.owed = queue->few.count;
    queue->many.owed = queue->many.count;
}

/* The one that judges goals takes only what some goal with an alert is about. */
static bool wanted(const struct fold *fold, int outlet, const struct key *key, bool rolling, int window)
{
    return !key->hidden && (outlet < fold->setup.outlets || alerts_want(fold, key, rolling, window));
}

void outlets_rolling_mark(struct fold *fold, uint32_t k, int window)
{
    struct key *key = fold->key[k];
    for (int o = 0; o < fold->outlets && !key_is_agent(key); o++)
        if (!(key->waits[window] >> o & 1) && wanted(fold, o, key, true, window)) {
            key->waits[window] |= (uint8_t)(1u << o);
            queue_put(fold, &fold->queue[o][window], key, k);
        }
}

void outlets_rolling_changed(struct fold *fold, uint32_t k, int window)
{
    outlets_rolling_mark(fold, k, window);
    across_rolling_changed(fold, k, window);
}

void outlets_now_changed(struct fold *fold, uint32_t k)
{
    struct key *key = fold->key[k];
    for (int o = 0; o < fold->setup.outlets; o++)
        if (fold->setup.outlet[o].now && !key->hidden && !(key->now_waits >> o & 1)) {
            key->now_waits |= (uint8_t)(1u << o);
            queue_put(fold, &fold->queue[o][QUEUE_NOW], key, k);
        }
}

void outlets_calendar_changed(struct fold *fold, uint32_t c, bool urgent)
{
    struct cell *cell = &fold->cell[c];
    for (int o = 0; o < fold->outlets && !key_is_agent(fold->key[cell->key]); o++) {
        uint8_t *waits = urgent ? &cell->urgent : &cell->waits;
        if (*waits >> o & 1 || !wanted(fold, o, fold->key[cell->key], false, cell->window))
            continue;
        *waits |= (uint8_t)(1u << o);
        queue_put(fold, &fold->queue[o][urgent ? QUEUE_URGENT : CONFIG_ROLLING_MAX + cell->window], fold->key[cell->key], c);
    }
}

/* ---- rows ---- */

struct row fold_row_head(struct fold *fold, uint32_t k)
{
    const struct key *key = fold->key[k];
    struct row row = {.config = fold->config, .tenant = key->tenant, .scope = key->scope, .value_count = key->count, .inexact = fold->inexact,
                      .restored = fold->restored};
    memcpy(row.value_dimension, key->dimension, sizeof row.value_dimension);
    memcpy(row.value, key->value, sizeof row.value);
    baseline_head(fold, k, &row);
    return row;
}

/* The window's sum is that of the differences up to it; packed into `sum`. */
static void rolling_sum(struct fold *fold, uint32_t k, int window, struct tally *sum)
{
    const struct key *key = fold->key[k];
    for (int w = 0; w <= window; w++)
        tally_dense_add(&fold->dense, tally_bytes(&key->difference[w]), key->difference[w].length, 1);
    if (spans_show(fold, key, window))
        spans_move(fold, k, window);
    tally_pack(sum, &fold->slab, &fold->dense);
}

struct row *fold_rolling_row(struct fold *fold, uint32_t k, int window, bool *empty)
{
    const struct key *key = fold->key[k];
    const struct pane_edges *edges = pane_edges(fold->ladder, window);
    struct tally sum = {0};
    rolling_sum(fold, k, window, &sum);
    *empty = sum.length == 0;
    struct row head = fold_row_head(fold, k);
    head.start_ms = edges->left_ms;
    head.end_ms = edges->right_ms;
    head.rolling = true;
    head.restored |= key->recalled >> window & 1;
    head.partial = !fold->setup.batch;
    head.window = (uint8_t)window;
    head.window_name = fold->config->rolling[window].name;
    changes_head(fold, key, &head);
    head.eligible = *empty ? 0 : headcount_at(fold, key, edges->right_ms);
    if (!*empty)
        head.across = across_rolling(fold, k, window);
    struct row *row = row_new(&head, tally_bytes(&sum), sum.length);
    tally_free(&sum, &fold->slab);
    return row;
}

/* They make no row of their own. */
static int64_t eligible_at_end(struct fold *fold, const struct cell *cell)
{
    return cell->tally.length ? headcount_at(fold, fold->key[cell->key], cell_end_ms(cell)) : 0;
}

struct row *fold_calendar_row(struct fold *fold, uint32_t c)
{
    struct cell *cell = &fold->cell[c];
    const struct key *key = fold->key[cell->key];
    tally_settle(&cell->tally, &fold->slab, &fold->dense);
    struct row head = fold_row_head(fold, cell->key);
    head.start_ms = cell->start_ms;
    head.end_ms = cell_end_ms(cell);
    head.final = cell->final;
    head.restored |= cell->recalled;
    head.revision = cell->revision;
    head.running = !fold->setup.batch && cell->start_ms <= fold->now_ms && fold->now_ms < cell_end_ms(cell);
    head.last = key->last[cell->window] == c;
    head.window = cell->window;
    head.window_name = calendar_names[cell->window];
    changes_head(fold, key, &head);
    head.eligible = eligible_at_end(fold, cell);
    if (cell->tally.length)
        head.across = across_calendar(fold, c);
    return row_new(&head, tally_bytes(&cell->tally), cell->tally.length);
}

static uint64_t content_hash(struct fold *fold, struct cell *cell)
{
    static const struct metric_across nothing;
    tally_settle(&cell->tally, &fold->slab, &fold->dense);
    struct metric_across across = across_calendar(fold, (uint32_t)(cell - fold->cell));
    uint64_t hash = XXH3_64bits_withSeed(tally_bytes(&cell->tally), cell->tally.length, (uint64_t)eligible_at_end(fold, cell));
    if (memcmp(&across, &nothing, sizeof across) != 0)
        hash = XXH3_64bits_withSeed(&across, sizeof across, hash);
    struct row head = {0};
    baseline_head(fold, cell->key, &head);
    return head.baseline_count ? XXH3_64bits_withSeed(head.baseline, (size_t)head.baseline_count * sizeof *head.baseline, hash) : hash;
}
_Static_assert(sizeof(struct metric_across) == GAP_COUNT * 16 + 3 * 8, "what is hashed has no padding");

/* Before a final row goes out: a new revision if its figures are not those of the last one. False: nothing new to say. */
static bool revise(struct fold *fold, struct cell *cell)
{
    if (!cell->final || !cell->changed)
        return true;
    cell_keep_for_checkpoint(fold, (uint32_t)(cell - fold->cell));
    uint64_t hash = content_hash(fold, cell);
    cell->changed = false;
    if (cell->revision && hash == cell->final_hash)
        return false;
    cell->final_hash = hash;
    cell->revision++;
    cell->told = 0;
    return true;
}

/* ---- publishing ---- */

static bool give(struct fold *fold, int outlet, uint32_t k, struct row *row)
{
    if (outlet == fold->setup.outlets) {
        alerts_take(fold, k, row);
        return true;
    }
    if (fold->setup.outlet[outlet].put(fold->setup.outlet[outlet].context, row)) {
        fold->counts.rows++;
        return true;
    }
    row_free(row);
    return false;
}

static bool publish_rolling(struct fold *fold, int outlet, int window, uint32_t k)
{
    struct key *key = fold->key[k];
    uint8_t bit = (uint8_t)(1u << outlet);
    bool empty;
    if (fold->now_ms == INT64_MIN) /* nobody knows the time yet: fold_step */
        return true;
    struct row *row = fold_rolling_row(fold, k, window, &empty);
    if (empty && !(key->published[window] & bit)) {
        row_free(row);
        return true;
    }
    if (!give(fold, outlet, k, row))
        return false;
    key->published[window] = empty ? key->published[window] & (uint8_t)~bit : key->published[window] | bit;
    key->told[window] |= empty ? 0 : bit;
    return true;
}

static bool publish_calendar(struct fold *fold, int outlet, uint32_t c)
{
    struct cell *cell = &fold->cell[c];
    uint8_t bit = (uint8_t)(1u << outlet);
    if (!revise(fold, cell) && cell->told & bit)
        return true;
    if (tally_is_zero(&cell->tally, &fold->slab, &fold->dense) && !(cell->published & bit) && !cell->recalled && cell->start_ms > fold->now_ms)
        return true;
    if (!give(fold, outlet, cell->key, fold_calendar_row(fold, c)))
        return false;
    cell->published |= bit;
    cell->told |= cell->final ? bit : 0;
    return true;
}

static bool publish_now(struct fold *fold, int outlet, uint32_t k)
{
    struct key *key = fold->key[k];
    uint8_t bit = (uint8_t)(1u << outlet);
    bool empty;
    if (fold->now_ms == INT64_MIN) { /* nobody knows the time yet: with the first second */
        now_tick(fold, k);
        return true;
    }
    struct row *row = fold_now_row(fold, k, &empty);
    if (empty && !(key->now_published & bit)) {
        row_free(row);
        return true;
    }
    if (!give(fold, outlet, k, row))
        return false;
    key->now_published = empty ? key->now_published & (uint8_t)~bit : key->now_published | bit;
    key->now_told |= empty ? 0 : bit;
    return true;
}

static bool publish(struct fold *fold, int outlet, int queue, uint32_t item)
{
    bool cell = queue >= CONFIG_ROLLING_MAX && queue != QUEUE_NOW;
    if (cell && queue != QUEUE_URGENT && !(fold->cell[item].waits >> outlet & 1)) /* the urgent one told all there was */
        return true;
    if (fold->key[cell ? fold->cell[item].key : item]->hidden) /* its scope went while it waited */
        return true;
    return queue < CONFIG_ROLLING_MAX ? publish_rolling(fold, outlet, queue, item)
           : queue == QUEUE_NOW       ? publish_now(fold, outlet, item)
                                      : publish_calendar(fold, outlet, item);
}

static void let_go(struct fold *fold, int queue, int outlet, uint32_t item)
{
    uint8_t keep = (uint8_t)~(1u << outlet);
    if (queue < CONFIG_ROLLING_MAX) {
        fold->key[item]->waits[queue] &= keep;
        return;
    }
    if (queue == QUEUE_NOW) {
        fold->key[item]->now_waits &= keep;
        return;
    }
    struct cell *cell = &fold->cell[item];
    if (queue == QUEUE_URGENT)
        cell->urgent &= keep;
    cell->waits &= keep;
}

/* Publishes `most` of the items that the queue owes, while there is room and budget. */
static uint32_t drain(struct fold *fold, int outlet, int which, uint32_t most, int64_t *budget)
{
    struct queue *queue = &fold->queue[outlet][which];
    uint32_t done = 0;
    for (; done < most && queue_owed(queue) && *budget > 0; done++) {
        struct line *line = queue_line(queue);
        uint32_t item = line->item[line->first];
        if (!publish(fold, outlet, which, item))
            break;
        queue_took(queue, line);
        let_go(fold, which, outlet, item);
        --*budget;
    }
    return done;
}

/* How often a window is published: up to 5 minutes each tick, longer ones W/300 within 1 to 60 s. Shards tick by the same clock; half a tick is
 * long enough to tell a row once a tick, and short enough that it never waits for the next one. */
static int64_t pace_ms(const struct fold *fold, int outlet, int which, bool many)
{
    static const int64_t calendar_ms[CALENDAR_COUNT] = {900000, 1800000, 3600000, 86400000, 604800000, 2592000000};
    bool rolling = which < CONFIG_ROLLING_MAX, rows = outlet < fold->setup.outlets; /* else they are judged */
    int64_t least = many && rows ? fold->config->publish_tick_many_ms : 0, pace = fold->config->publish_tick_ms / 2;
    if (which != QUEUE_NOW) {
        int64_t length_ms = rolling ? fold->config->rolling[which].length_ms : calendar_ms[which - CONFIG_ROLLING_MAX], share = length_ms / PACE_SHARE;
        if (length_ms > TICK_WINDOW_MS)
            pace = share < PACE_LEAST_MS ? PACE_LEAST_MS : share > PACE_MOST_MS ? PACE_MOST_MS : share;
        if (rolling && rows && fold->setup.outlet[outlet].by_topics_every && fold->config->topics_every_ms > least)
            least = fold->config->topics_every_ms;
    }
    return pace < least ? least : pace;
}

/* Rows that each outlet may still have: publish.rows_per_second, gathered for a second at most. */
static void fill_budgets(struct fold *fold, int64_t clock_ms)
{
    int64_t most = fold->config->publish_rows / fold->setup.folds + 1;
    if (fold->budget_ms > clock_ms || clock_ms - fold->budget_ms > 1000) /* the first time, or the clock was set */
        fold->budget_ms = clock_ms - 1000;
    if ((clock_ms - fold->budget_ms) * most < 1000)
        return; /* less than a row so far */
    for (int o = 0; o < fold->outlets; o++) {
        fold->budget[o] += (clock_ms - fold->budget_ms) * most / 1000;
        fold->budget[o] = fold->budget[o] > most ? most : fold->budget[o];
    }
    fold->budget_ms = clock_ms;
}

/* What is owed of the queues whose bit is set. */
static uint64_t publish_owed(struct fold *fold, int o, uint32_t queues, int64_t clock_ms)
{
    uint64_t done = 0;
    while (queues && fold->budget[o] > 0) {
        uint32_t later = queues & ~UINT32_C(0) << fold->next_queue[o];
        int q = __builtin_ctz(later ? later : queues);
        struct queue *queue = &fold->queue[o][q];
        bool few = queue->few.owed > 0, many = queue->many.owed > 0;
        uint32_t owed = queue_owed(queue), most = owed < ROWS_A_TURN ? owed : ROWS_A_TURN, rows = drain(fold, o, q, most, &fold->budget[o]);
        done += rows;
        if (few && queue->few.owed == 0)
            queue->few.due_ms = clock_ms + pace_ms(fold, o, q, false);
        if (many && queue->many.owed == 0)
            queue->many.due_ms = clock_ms + pace_ms(fold, o, q, true);
        if (queue_owed(queue) == 0)
            queues &= ~(UINT32_C(1) << q);
        fold->next_queue[o] = rows ? (q + 1) % QUEUE_URGENT : q;
        if (rows < most)
            break; /* no room */
    }
    return done;
}

uint64_t outlets_publish(struct fold *fold, int64_t clock_ms)
{
    uint64_t done = 0;
    int64_t unbounded = INT64_MAX;
    fill_budgets(fold, clock_ms);
    for (int o = 0; o < fold->outlets; o++) {
        uint32_t owed = 0;
        queue_owe_all(&fold->queue[o][QUEUE_URGENT]);
        done += drain(fold, o, QUEUE_URGENT, UINT32_MAX, &unbounded);
        for (int q = 0; q <= QUEUE_NOW; q++) {
            line_owe(&fold->queue[o][q].few, clock_ms);
            line_owe(&fold->queue[o][q].many, clock_ms);
            owed |= (uint32_t)(queue_owed(&fold->queue[o][q]) > 0) << q;
        }
        done += publish_owed(fold, o, owed & UINT32_C(1) << QUEUE_NOW, clock_ms); /* first: later, it is not what is now */
        done += publish_owed(fold, o, owed & ~(UINT32_C(1) << QUEUE_NOW), clock_ms);
    }
    return done;
}

void outlets_again(struct fold *fold, int outlet)
{
    uint8_t bit = (uint8_t)(1u << outlet);
    for (uint32_t k = 0; k < fold->keys; k++)
        for (int w = 0; w < fold->rolling_count && !key_is_agent(fold->key[k]); w++) {
            struct key *key = fold->key[k];
            key->published[w] |= key->told[w] & bit; /* the outlet may have lost the row that emptied it */
            if (key->waits[w] & bit || !wanted(fold, outlet, key, true, w))
                continue;
            key->waits[w] |= bit;
            queue_put(fold, &fold->queue[outlet][w], key, k);
        }
    for (uint32_t k = 0; k < fold->keys; k++) {
        struct key *key = fold->key[k];
        key->now_published |= key->now_told & bit;
        if (key->now != NONE || key->now_published & bit)
            outlets_now_changed(fold, k);
    }
    for (uint32_t c = 0; c < fold->cells_made; c++) {
        struct cell *cell = &fold->cell[c];
        cell->published &= (uint8_t)~bit;
        cell->told &= (uint8_t)~bit; /* also of one that waits: a change that came to nothing must not hold it back */
        if (!cell_has_row(fold, cell) || cell->waits & bit || !wanted(fold, outlet, fold->key[cell->key], false, cell->window))
            continue;
        cell->waits |= bit;
        queue_put(fold, &fold->queue[outlet][CONFIG_ROLLING_MAX + cell->window], fold->key[cell->key], c);
    }
}

static void line_remove(struct line *line, uint32_t item)
{
    uint32_t kept = 0;
    for (uint32_t i = 0; i < line->count; i++) {
        uint32_t other = line->item[(line->first + i) & (line->room - 1)];
        if (other != item)
            line->item[(line->first + kept++) & (line->room - 1)] = other;
    }
    line->count = kept;
    line->owed = line->owed < kept ? line->owed : kept;
}

static void queue_remove(struct queue *queue, uint32_t item)
{
    line_remove(&queue->few, item);
    line_remove(&queue->many, item);
}

void outlets_forget_cell(struct fold *fold, uint32_t c)
{
    struct cell *cell = &fold->cell[c];
    for (int o = 0; o < fold->outlets; o++) {
        if (cell->waits >> o & 1)
            queue_remove(&fold->queue[o][CONFIG_ROLLING_MAX + cell->window], c);
        if (cell->urgent >> o & 1)
            queue_remove(&fold->queue[o][QUEUE_URGENT], c);
    }
    cell->waits = cell->urgent = 0;
}

static void queue_empty(struct queue *queue)
{
    queue->few.count = queue->many.count = 0;
    queue->few.owed = queue->many.owed = 0;
}

void outlets_forget_rolling(struct fold *fold, int window)
{
    for (int o = 0; o < fold->outlets; o++)
        queue_empty(&fold->queue[o][window]);
}

static void forget_urgent(const struct fold *fold, struct line *urgent, int window)
{
    for (uint32_t left = urgent->count; left > 0; left--) {
        uint32_t c = urgent->item[urgent->first];
        urgent->first = (urgent->first + 1) & (urgent->room - 1);
        urgent->count--;
        urgent->owed = 0;
        if (fold->cell[c].window != window)
            line_put(urgent, c);
    }
}

void outlets_forget_window(struct fold *fold, int window)
{
    for (int o = 0; o < fold->outlets; o++) {
        queue_empty(&fold->queue[o][CONFIG_ROLLING_MAX + window]);
        forget_urgent(fold, &fold->queue[o][QUEUE_URGENT].few, window);
        forget_urgent(fold, &fold->queue[o][QUEUE_URGENT].many, window);
    }
}

uint64_t fold_flush(struct fold *fold, bool all)
{
    uint64_t left = 0;
    int64_t unbounded = INT64_MAX;
    baseline_restate(fold, 0, true);
    for (int o = 0; o < fold->outlets; o++) {
        if (all)
            outlets_again(fold, o);
        for (int q = 0; q < QUEUES; q++) {
            queue_owe_all(&fold->queue[o][q]);
            drain(fold, o, q, UINT32_MAX, &unbounded);
            left += queue_count(&fold->queue[o][q]);
        }
    }
    (void)alerts_step(fold, &left);
    return left;
}

void outlets_close(struct fold *fold)
{
    for (int o = 0; o < OUTLETS_ALL; o++)
        for (int q = 0; q < QUEUES; q++) {
            free(fold->queue[o][q].few.item);
            free(fold->queue[o][q].many.item);
        }
}
