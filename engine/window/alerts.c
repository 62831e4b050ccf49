/* Alerts: one more outlet, inside the fold. It sees every row that a goal with an alert is about, and steps a small machine a goal and key:
 *
 *              missed                  for `for`                     met by `clear`
 *     nothing ───────> PENDING ──────────────────> MISSED (told) ─────────────────> MET (told) ──a while──> nothing
 *        ^────── met, or too small an n ──┘   ^─ missed again: PENDING, and its time begins anew ──┘
 *
 *     told, its goal is configured no more ──> REMOVED (told) ───> nothing
 *
 * Time is where the rolling windows stand: the clock, or the watermark in replay. What is told is a row of its own kind (row.h), which
 * each outlet gets once, and again when it asks for everything again. A checkpoint has all of it; what was told shortly before it is told once
 * more by the next life, since nobody knows whether it arrived. */
#include "fold_parts.h"

#include "esteem/goal.h"
#include "esteem/varint.h"

enum { MET_KEPT_MS = 600000, TOLD_AGAIN_MS = 30000, ALERT_ITEM_MAX = 8 * VARINT_MAX + 16 };

/* ---- the records: a list a key ---- */

static struct alert *alert_find(struct fold *fold, uint32_t k, int goal)
{
    for (uint32_t a = fold->key[k]->alert; a != NONE; a = fold->alert[a].next)
        if (fold->alert[a].goal == goal)
            return &fold->alert[a];
    return NULL;
}

static struct alert *alert_new(struct fold *fold, uint32_t k, int goal)
{
    uint32_t a = fold->alert_free;
    if (a != NONE) {
        fold->alert_free = fold->alert[a].next;
    } else {
        if (fold->alerts == fold->alert_room) {
            fold->alert_room = fold->alert_room ? fold->alert_room * 2 : 64;
            fold->alert = fold_must(realloc(fold->alert, fold->alert_room * sizeof *fold->alert));
        }
        a = fold->alerts++;
    }
    fold->alert[a] = (struct alert){.key = k, .next = fold->key[k]->alert, .goal = (int16_t)goal};
    fold->key[k]->alert = a;
    return &fold->alert[a];
}

static void alert_drop(struct fold *fold, struct alert *alert)
{
    uint32_t a = (uint32_t)(alert - fold->alert), *link = &fold->key[alert->key]->alert;
    while (*link != a)
        link = &fold->alert[*link].next;
    *link = alert->next;
    free(alert->removed);
    *alert = (struct alert){.state = ALERT_NONE, .next = fold->alert_free};
    fold->alert_free = a;
}

/* ---- the machine ---- */

static void enter(struct fold *fold, struct alert *alert, enum alert_state state)
{
    alert->state = (uint8_t)state;
    alert->at_ms = fold->now_ms;
    alert->known |= state >= ALERT_MISSED;
    alert->waits = (uint8_t)(state == ALERT_PENDING ? 0u : (1u << fold->setup.outlets) - 1u);
}

/* Its goal is gone, or about something else now: whoever was told of it hears that as well. */
static void remove_goal(struct fold *fold, struct alert *alert, const char *name)
{
    if (!alert->known) {
        alert_drop(fold, alert);
        return;
    }
    alert->removed = fold_must(strdup(name));
    alert->goal = -1;
    alert->state = ALERT_REMOVED;
    alert->waits = (uint8_t)((1u << fold->setup.outlets) - 1u);
}

/* Missed for long enough? */
static void ripen(struct fold *fold, struct alert *alert)
{
    if (alert->state == ALERT_PENDING && fold->now_ms - alert->since_ms >= fold->config->goal[alert->goal].for_ms)
        enter(fold, alert, ALERT_MISSED);
}

static void begin(struct fold *fold, struct alert *alert)
{
    alert->since_ms = fold->now_ms;
    enter(fold, alert, ALERT_PENDING);
}

static bool is_clear(const struct config_goal *goal, double value)
{
    return goal->down ? value <= goal->target - goal->clear : value >= goal->target + goal->clear;
}

static void judge(struct fold *fold, uint32_t k, int g, const struct goal_figure *figure, const struct row *row)
{
    const struct config_goal *goal = &fold->config->goal[g];
    struct alert *alert = alert_find(fold, k, g);
    bool known = figure->present && !figure->small;
    if (alert && alert->state == ALERT_PENDING && (!known || figure->met)) {
        alert_drop(fold, alert);
        return;
    }
    if (!known || (alert == NULL && figure->met))
        return;
    if (alert == NULL)
        begin(fold, alert = alert_new(fold, k, g));
    else if (alert->state == ALERT_MET && !figure->met)
        begin(fold, alert);
    bool over = alert->state == ALERT_MISSED && is_clear(goal, figure->value);
    if (alert->state == ALERT_PENDING || over) {
        alert->value = figure->value;
        alert->n = figure->n;
        alert->start_ms = row->start_ms;
        alert->end_ms = row->end_ms;
    }
    if (over) {
        alert->since_ms = fold->now_ms;
        enter(fold, alert, ALERT_MET);
    }
    ripen(fold, alert);
}

bool alerts_want(const struct fold *fold, const struct key *key, bool rolling, int window)
{
    for (int g = 0; g < fold->config->goal_count; g++) {
        const struct config_goal *goal = &fold->config->goal[g];
        if (goal->alert && goal->place.scope == key->mask && goal->place.rolling == rolling && goal->place.window == window)
            return true;
    }
    return false;
}

void alerts_take(struct fold *fold, uint32_t k, struct row *row)
{
    row_open(fold->view, row, fold->config);
    for (int g = 0; g < fold->config->goal_count; g++) {
        const struct config_goal *goal = &fold->config->goal[g];
        if (!goal->alert || !goal_is_about(goal, row) || !goal_is_judged(goal, row))
            continue;
        struct goal_figure figure = goal_of(goal, fold->view);
        judge(fold, k, g, &figure, row);
    }
    row_free(row);
}

/* ---- telling ---- */

static const uint8_t row_states[] = {[ALERT_MISSED] = ROW_ALERT_MISSED, [ALERT_MET] = ROW_ALERT_MET, [ALERT_REMOVED] = ROW_ALERT_REMOVED};

/* False: an outlet has no room. */
static bool tell(struct fold *fold, struct alert *alert, int outlet)
{
    const struct config_goal *goal = alert->removed ? NULL : &fold->config->goal[alert->goal];
    struct row head = fold_row_head(fold, alert->key);
    head.baseline_count = 0;
    head.start_ms = alert->start_ms;
    head.end_ms = alert->end_ms;
    head.goal = goal ? goal->name : alert->removed;
    head.window_name = "";
    if (goal) {
        head.rolling = goal->place.rolling;
        head.window = (uint8_t)goal->place.window;
        head.window_name = goal->place.rolling ? fold->config->rolling[goal->place.window].name : calendar_names[goal->place.window];
    }
    head.alert = (struct row_alert){.state = row_states[alert->state], .goal = (uint8_t)(goal ? alert->goal : 0), .value = alert->value, .n = alert->n,
                                    .since_ms = alert->since_ms, .at_ms = alert->removed ? fold->now_ms : alert->at_ms};
    struct row *row = row_new(&head, NULL, 0);
    if (fold->setup.outlet[outlet].put(fold->setup.outlet[outlet].context, row)) {
        alert->waits &= (uint8_t)~(1u << outlet);
        return true;
    }
    row_free(row);
    return false;
}

uint64_t alerts_step(struct fold *fold, uint64_t *left)
{
    uint64_t done = 0, waiting = 0;
    uint8_t full = 0;
    for (uint32_t a = 0; a < fold->alerts && fold->now_ms != INT64_MIN; a++) {
        struct alert *alert = &fold->alert[a];
        ripen(fold, alert);
        for (int o = 0; o < fold->setup.outlets && alert->waits; o++)
            if (alert->waits & ~full & 1u << o) {
                if (tell(fold, alert, o))
                    done++;
                else
                    full |= (uint8_t)(1u << o);
            }
        waiting += alert->waits != 0;
        bool over = alert->state == ALERT_REMOVED || (alert->state == ALERT_MET && fold->now_ms - alert->at_ms >= MET_KEPT_MS);
        if (over && alert->waits == 0)
            alert_drop(fold, alert);
    }
    if (left)
        *left += waiting;
    return done;
}

void alerts_again(struct fold *fold, int outlet)
{
    for (uint32_t a = 0; a < fold->alerts; a++)
        if (fold->alert[a].state >= ALERT_MISSED)
            fold->alert[a].waits |= (uint8_t)(1u << outlet);
}

/* A window's number may be another one now. */
static bool same_place(const struct config *old, const struct config_place *was, const struct config *next, const struct config_place *is)
{
    if (was->scope != is->scope || was->rolling != is->rolling)
        return false;
    return was->rolling ? strcmp(old->rolling[was->window].name, next->rolling[is->window].name) == 0 : was->window == is->window;
}

/* Goals keep their alerts by name. */
void alerts_reload(struct fold *fold, const struct config *next)
{
    for (uint32_t a = 0; a < fold->alerts; a++) {
        struct alert *alert = &fold->alert[a];
        if (alert->state == ALERT_NONE || alert->state == ALERT_REMOVED)
            continue;
        const struct config_goal *was = &fold->config->goal[alert->goal];
        int g = 0;
        while (g < next->goal_count && strcmp(next->goal[g].name, was->name) != 0)
            g++;
        if (g == next->goal_count || !next->goal[g].alert || !same_place(fold->config, &was->place, next, &next->goal[g].place))
            remove_goal(fold, alert, was->name);
        else
            alert->goal = (int16_t)g;
    }
}

void alerts_close(struct fold *fold)
{
    for (uint32_t a = 0; a < fold->alerts; a++)
        free(fold->alert[a].removed);
    free(fold->alert);
}

/* ---- checkpoints: all of them in each, behind the keys that they name ---- */

void alerts_dump(const struct fold *fold, struct slice_out *out)
{
    for (uint32_t a = 0; a < fold->alerts; a++) {
        const struct alert *alert = &fold->alert[a];
        if (alert->state == ALERT_NONE)
            continue;
        const char *name = alert->removed ? alert->removed : fold->config->goal[alert->goal].name;
        uint64_t value;
        memcpy(&value, &alert->value, sizeof value);
        uint8_t *at = slice_put_late(out, SLICE_ALERT, ALERT_ITEM_MAX + strlen(name) + 16);
        at = varint_put(at, alert->key);
        at = slice_text(at, name, strlen(name));
        *at++ = alert->removed ? ALERT_MET : alert->state; /* of a goal that the next life does not have either */
        at = slice_u64(at, value);
        at = varint_put(at, zigzag(alert->n));
        at = varint_put(at, zigzag(alert->since_ms));
        at = varint_put(at, zigzag(alert->at_ms));
        at = varint_put(at, zigzag(alert->start_ms));
        at = varint_put(at, zigzag(alert->end_ms));
        slice_put_end_late(out, at);
    }
}

bool alert_read(struct slice_item *item, struct alert_saved *saved)
{
    uint32_t length;
    *saved = (struct alert_saved){0};
    saved->alert.key = (uint32_t)slice_get(item);
    snprintf(saved->goal, sizeof saved->goal, "%s", slice_get_text(item, &length));
    saved->alert.state = (uint8_t)slice_get(item);
    uint64_t value = slice_get_u64(item);
    memcpy(&saved->alert.value, &value, sizeof value);
    saved->alert.n = slice_get_signed(item);
    saved->alert.since_ms = slice_get_signed(item);
    saved->alert.at_ms = slice_get_signed(item);
    saved->alert.start_ms = slice_get_signed(item);
    saved->alert.end_ms = slice_get_signed(item);
    return !item->bad && saved->alert.state > ALERT_NONE && saved->alert.state <= ALERT_MET;
}

void alert_restore(struct fold *fold, uint32_t k, const struct alert_saved *saved, int64_t written_ms)
{
    int g = 0;
    while (g < fold->config->goal_count && strcmp(fold->config->goal[g].name, saved->goal) != 0)
        g++;
    bool gone = g == fold->config->goal_count || !fold->config->goal[g].alert || fold->config->goal[g].place.scope != fold->key[k]->mask;
    if (!gone && alert_find(fold, k, g))
        return;
    struct alert *alert = alert_new(fold, k, g);
    uint32_t next = alert->next;
    *alert = saved->alert;
    alert->key = k;
    alert->next = next;
    alert->known = alert->state >= ALERT_MISSED;
    if (gone) {
        remove_goal(fold, alert, saved->goal);
        return;
    }
    alert->goal = (int16_t)g;
    bool doubtful = alert->state >= ALERT_MISSED && written_ms - alert->at_ms < TOLD_AGAIN_MS;
    alert->waits = (uint8_t)(doubtful ? (1u << fold->setup.outlets) - 1u : 0u);
}
