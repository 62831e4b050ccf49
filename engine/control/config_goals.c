/* config_goals: what figures are held against: a baseline period, goals, leaderboards. They name metrics by metrics.def, and scopes
 * and windows that are configured. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "config_parts.h"
#include "esteem/err.h"
#include "esteem/metric.h"

/* --- names --- */

static bool metric_is_employee(int metric)
{
    return metric_infos[metric].family == FAMILY_EMPLOYEE;
}

/* Finds a name of a table, or tells the fault and returns -1. */
static int name_find(struct reader *reader, const yaml_node_t *node, const char *key, const char *what, const char *(*name_of)(int), int count)
{
    const char *text = reader_text(reader, node, node_line(node), key, what), *nearest = "";
    int least = 99;
    for (int i = 0; text != NULL && i < count; i++) {
        int distance = word_distance(text, name_of(i));
        if (strcmp(text, name_of(i)) == 0)
            return i;
        nearest = distance < least ? name_of(i) : nearest;
        least = distance < least ? distance : least;
    }
    if (text != NULL && word_near(text, least))
        reader_fault(reader, node_line(node), key, "\"%.40s\" is not %s; did you mean %s?", text, what, nearest);
    else if (text != NULL)
        reader_fault(reader, node_line(node), key, "\"%.40s\" is not %s; `esteem schema metrics` lists them", text, what);
    return -1;
}

static const char *metric_name(int metric)
{
    return metric_infos[metric].name;
}

static const char *measure_name(int measure)
{
    return measure_names[measure];
}

static int metric_find(struct reader *reader, const yaml_node_t *node, const char *key)
{
    return name_find(reader, node, key, "the name of a metric", metric_name, METRIC_COUNT);
}

/* --- baseline --- */

enum { DAY_MS = 86400000, BASELINE_DAYS_MOST = 36525 /* a window's length in seconds has 32 bits */ };

/* "2026-09-01", a local date, or a time with its zone, of a whole second. */
static bool instant_read(struct reader *reader, const yaml_node_t *node, const char *key, struct config_instant *instant)
{
    const char *text = reader_text(reader, node, node_line(node), key, "a date such as 2026-09-01, or a time with its zone");
    char midnight[32];
    if (text == NULL)
        return false;
    int64_t ms;
    *instant = (struct config_instant){.local = strlen(text) == 10};
    snprintf(midnight, sizeof midnight, "%.10sT00:00:00Z", text);
    if (!event_time_rfc3339(instant->local ? midnight : text, strlen(instant->local ? midnight : text), &ms)) {
        reader_fault(reader, node_line(node), key, "\"%.40s\" is neither a date nor a time; write 2026-09-01 or 2026-09-01T00:00:00+02:00", text);
        return false;
    }
    if (ms % 1000 != 0) {
        reader_fault(reader, node_line(node), key, "%.40s is no whole second; round it", text);
        return false;
    }
    instant->at = instant->local ? ms / DAY_MS : ms;
    return true;
}

static void baseline_metric(struct reader *reader, const yaml_node_t *node, const char *key)
{
    struct config_baseline *baseline = &reader->config->baseline;
    int metric = metric_find(reader, node, key);
    if (metric < 0)
        return;
    for (int i = 0; i < baseline->count; i++)
        if (baseline->metric[i] == metric) {
            reader_fault(reader, node_line(node), key, "%s is there twice; take one out", metric_name(metric));
            return;
        }
    if (metric_is_across((enum metric)metric))
        reader_fault(reader, node_line(node), key, "%s compares rows already; take a metric of one row", metric_name(metric));
    else if (metric_is_employee(metric))
        reader_fault(reader, node_line(node), key, "%s is an employees' figure, which only leaves in rows of a day or longer; take it out",
                     metric_name(metric));
    else {
        snprintf(baseline->name[baseline->count], sizeof baseline->name[0], "%s_change", metric_name(metric));
        baseline->metric[baseline->count++] = metric;
    }
}

void read_baseline(struct reader *reader, yaml_node_t *node, int line, const char *key)
{
    struct config_baseline *baseline = &reader->config->baseline;
    struct member members[] = {{"from", NULL}, {"to", NULL}, {"metrics", NULL}};
    if (!reader_wants_map(reader, node, line, key, "{from: 2026-09-01, to: 2026-10-01, metrics: [csat]}, or {}") ||
        node->data.mapping.pairs.top == node->data.mapping.pairs.start)
        return;
    if (!reader_members(reader, node, key, members, 3))
        return;
    if (members[0].value == NULL || members[1].value == NULL || members[2].value == NULL) {
        reader_fault(reader, line, key, "needs all three; write {from: 2026-09-01, to: 2026-10-01, metrics: [csat]}");
        return;
    }
    bool right = instant_read(reader, members[0].value, "baseline.from", &baseline->from);
    right = instant_read(reader, members[1].value, "baseline.to", &baseline->to) && right;
    if (right && baseline->from.local != baseline->to.local)
        reader_fault(reader, node_line(members[1].value), "baseline.to", "is a %s and `from` is a %s; write both as dates, or both as times",
                     baseline->to.local ? "date" : "time", baseline->from.local ? "date" : "time");
    else if (right && baseline->from.at >= baseline->to.at)
        reader_fault(reader, node_line(members[1].value), "baseline.to", "is not after `from`; it is the first %s that no longer counts",
                     baseline->to.local ? "day" : "instant");
    else if (right && (baseline->to.at - baseline->from.at) / (baseline->to.local ? 1 : DAY_MS) > BASELINE_DAYS_MOST)
        reader_fault(reader, node_line(members[1].value), "baseline.to", "is more than a hundred years after `from`; name a shorter period");
    int count = reader_items(reader, members[2].value, node_line(members[2].value), "baseline.metrics", "a list of metrics, [csat, aht_ms]",
                             CONFIG_BASELINE_MAX);
    for (int i = 0; i < count; i++)
        baseline_metric(reader, reader_item(reader, members[2].value, i), "baseline.metrics");
    baseline->given = baseline->count > 0;
    if (count == 0 && members[2].value->type == YAML_SEQUENCE_NODE)
        reader_fault(reader, node_line(members[2].value), "baseline.metrics", "names no metric; write [csat, aht_ms], or leave baseline out");
}

/* --- where: a scope and a window --- */

enum { SCOPE_TEXT_MAX = 256 };

/* "channel, queue"; returns `names`. */
static const char *scope_names(const struct config *config, uint32_t scope, char names[SCOPE_TEXT_MAX])
{
    size_t used = 0;
    *names = '\0';
    for (int d = 0; d < DIMENSION_MAX && used < SCOPE_TEXT_MAX; d++)
        if (scope >> d & 1)
            used += (size_t)snprintf(names + used, SCOPE_TEXT_MAX - used, "%s%s", used ? ", " : "", config_dimension_name(config, d));
    return names;
}

/* The scope that a node names, the whole tenant where there is none; `of` is what it is told of, "" or " of goal NAME". */
static bool scope_find(struct reader *reader, const yaml_node_t *node, int line, const char *key, const char *of, uint32_t *dimensions)
{
    char names[SCOPE_TEXT_MAX];
    *dimensions = 0;
    if (node != NULL && !scope_read(reader, node, key, dimensions))
        return false;
    if (config_has_scope(reader->config, *dimensions))
        return true;
    reader_fault(reader, node ? node_line(node) : line, key, "[%s]%s is none of the configured scopes; add it to scopes:, or take another",
                 scope_names(reader->config, *dimensions, names), of);
    return false;
}

static bool window_find(struct reader *reader, const yaml_node_t *node, const char *key, struct config_place *place)
{
    const struct config *config = reader->config;
    const char *name = reader_text(reader, node, node_line(node), key, "the name of a window, such as 1h or month");
    if (name == NULL)
        return false;
    for (int w = 0; w < config->rolling_count; w++)
        if (strcmp(config->rolling[w].name, name) == 0) {
            place->rolling = true;
            place->window = w;
            return true;
        }
    for (int w = 0; w < CALENDAR_COUNT; w++)
        if (config->calendar >> w & 1 && strcmp(calendar_names[w], name) == 0) {
            place->rolling = false;
            place->window = w;
            return true;
        }
    reader_fault(reader, node_line(node), key, "\"%.40s\" is none of the configured windows; add it to windows:, or take another", name);
    return false;
}

/* --- goals --- */

enum goal_member { GOAL_NAME, GOAL_METRIC, GOAL_MEASURE, GOAL_PER, GOAL_SCOPE, GOAL_MATCH, GOAL_WINDOW, GOAL_TARGET, GOAL_DIRECTION,
                   GOAL_ALERT, GOAL_FOR, GOAL_CLEAR, GOAL_MEMBERS };
static const char goal_form[] = "{name: north_csat, metric: csat, scope: [team], window: month, target: 80}";

static bool goal_name(struct reader *reader, const yaml_node_t *node, struct config_goal *goal)
{
    const char *name = reader_text(reader, node, node_line(node), "goals.name", "a name");
    if (name == NULL)
        return false;
    if (*name < 'a' || *name > 'z' || name[strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789_")] || strlen(name) > 40) {
        reader_fault(reader, node_line(node), "goals.name", "\"%.50s\" cannot be a name; use at most 40 of a-z 0-9 _, a letter first", name);
        return false;
    }
    for (const struct config_goal *other = reader->config->goal; other < goal; other++)
        if (strcmp(other->name, name) == 0) {
            reader_fault(reader, node_line(node), "goals.name", "%s is the goal of line %d already; take another name", name, other->line);
            return false;
        }
    snprintf(goal->field, sizeof goal->field, "goal.%s", name);
    goal->name = goal->field + strlen("goal.");
    return true;
}

/* What is measured. */
static bool goal_figure(struct reader *reader, const struct member *member, struct config_goal *goal)
{
    const yaml_node_t *metric = member[GOAL_METRIC].value, *measure = member[GOAL_MEASURE].value;
    goal->metric = goal->measure = -1;
    if ((metric == NULL) == (measure == NULL)) {
        reader_fault(reader, goal->line, "goals", "needs a metric or a measure, one of the two; write %s", goal_form);
        return false;
    }
    if (metric)
        goal->metric = metric_find(reader, metric, "goals.metric");
    else
        goal->measure = name_find(reader, measure, "goals.measure", "the name of a measure", measure_name, MEASURE_COUNT);
    if (goal->metric < 0 && goal->measure < 0)
        return false;
    if (goal->measure >= 0 && measure_families[goal->measure] == 0) {
        reader_fault(reader, node_line(measure), "goals.measure", "%s is in no window's row; take one of `esteem schema metrics`",
                     measure_name(goal->measure));
        return false;
    }
    if (goal->measure < 0 || !measure_is_employee((enum measure)goal->measure))
        return true;
    reader_fault(reader, node_line(measure), "goals.measure", "%s is a count of employees' answers; take a metric such as esat",
                 measure_name(goal->measure));
    return false;
}

static bool goal_per(struct reader *reader, const yaml_node_t *node, struct config_goal *goal)
{
    const char *text = node ? reader_text(reader, node, node_line(node), "goals.per", "day") : NULL;
    goal->per_day = text != NULL;
    if (text && (strcmp(text, "day") != 0 || goal->measure < 0)) {
        reader_fault(reader, node_line(node), "goals.per", "is `day`, with a measure; leave it out for a metric");
        return false;
    }
    return node == NULL || text != NULL;
}

/* Which way is better: the metric's own, or said by the goal where there is none. */
static bool goal_direction(struct reader *reader, const yaml_node_t *node, struct config_goal *goal)
{
    const char *own = goal->metric >= 0 ? metric_infos[goal->metric].direction : "neutral";
    const char *name = goal->metric >= 0 ? metric_name(goal->metric) : measure_name(goal->measure);
    const char *given = node ? reader_text(reader, node, node_line(node), "goals.direction", "up or down") : NULL;
    bool neutral = strcmp(own, "neutral") == 0;
    if (node && given == NULL)
        return false;
    if (given && strcmp(given, "up") != 0 && strcmp(given, "down") != 0)
        reader_fault(reader, node_line(node), "goals.direction", "\"%.20s\" is no direction; write up (at least) or down (at most)", given);
    else if (neutral && given == NULL)
        reader_fault(reader, goal->line, "goals.direction", "is missing, and %s itself has none; write up (at least the target) or down (at most)", name);
    else if (given && !neutral && strcmp(own, given) != 0)
        reader_fault(reader, node_line(node), "goals.direction", "%s is better when it goes %s; leave direction out", name, own);
    else {
        goal->down = strcmp(given ? given : own, "down") == 0;
        return true;
    }
    return false;
}

static bool goal_match(struct reader *reader, yaml_node_t *map, struct config_goal *goal)
{
    struct pair pair;
    int at = 0, before = reader->fault_count;
    if (map == NULL)
        return true;
    if (!reader_wants_map(reader, map, node_line(map), "goals.match", "{team: north}"))
        return false;
    while (reader_next_pair(reader, map, "goals.match", &at, &pair)) {
        int dimension = config_dimension_find(reader->config, pair.name);
        const char *value = reader_value(reader, pair.value, pair.line, "goals.match");
        if (dimension < 0 || !(goal->place.scope >> dimension & 1))
            reader_fault(reader, pair.line, "goals.match", "%.40s is no dimension of the goal's scope; name it in scope, or take it out", pair.name);
        else if (value != NULL)
            goal->value[dimension] = text_copy(value);
    }
    return reader->fault_count == before;
}

static bool real_member(struct reader *reader, const yaml_node_t *node, const char *key, const char *wanted, double least, double *value)
{
    const char *text = reader_text(reader, node, node_line(node), key, wanted);
    if (text == NULL)
        return false;
    if (real_parse(text, value) != PARSED || *value < least || *value > 1e15) {
        reader_fault(reader, node_line(node), key, "\"%.40s\" is not %s", text, wanted);
        return false;
    }
    return true;
}

static bool goal_target(struct reader *reader, const yaml_node_t *node, struct config_goal *goal)
{
    if (node == NULL)
        reader_fault(reader, goal->line, "goals.target", "is missing; write %s", goal_form);
    else if (real_member(reader, node, "goals.target", "a number above 0: attainment is value / target", 1e-9, &goal->target)) {
        if (goal->metric < 0 || goal->target <= metric_most((enum metric)goal->metric))
            return true;
        reader_fault(reader, node_line(node), "goals.target", "%g is above %g, the most that %s can be; take a number up to that", goal->target,
                     metric_most((enum metric)goal->metric), metric_name(goal->metric));
    }
    return false;
}

static bool goal_numbers(struct reader *reader, const struct member *member, struct config_goal *goal)
{
    const yaml_node_t *clear = member[GOAL_CLEAR].value;
    const yaml_node_t *wait = member[GOAL_FOR].value, *alert = member[GOAL_ALERT].value;
    bool right = goal_target(reader, member[GOAL_TARGET].value, goal);
    goal->alert = true;
    goal->for_ms = 300000;
    if (clear)
        right = real_member(reader, clear, "goals.clear", "a number of 0 or more, in the unit of the target", 0, &goal->clear) && right;
    if (wait)
        right = reader_duration(reader, wait, node_line(wait), "goals.for", 0, INT64_C(604800000), &goal->for_ms) && right;
    if (alert)
        right = reader_bool(reader, alert, node_line(alert), "goals.alert", &goal->alert) && right;
    return right;
}

/* Met again by more than the metric can be is never. */
static bool goal_clear(struct reader *reader, const yaml_node_t *node, const struct config_goal *goal)
{
    const char *name = goal->metric >= 0 ? metric_name(goal->metric) : measure_name(goal->measure);
    double most = goal->metric >= 0 ? metric_most((enum metric)goal->metric) : INFINITY;
    double least = goal->metric >= 0 ? metric_least((enum metric)goal->metric) : 0;
    if (node == NULL || (goal->down ? goal->target - goal->clear >= least : goal->target + goal->clear <= most))
        return true;
    if (goal->down)
        reader_fault(reader, node_line(node), "goals.clear", "%g less %g is below %g, the least that %s can be; take a number up to %g", goal->target,
                     goal->clear, least, name, goal->target - least);
    else
        reader_fault(reader, node_line(node), "goals.clear", "%g and %g are above %g, the most that %s can be; take a number up to %g", goal->target,
                     goal->clear, most, name, most - goal->target);
    return false;
}

/* Employees' figures leave in final rows of a day or longer alone; volume_change compares with the same hour, day or week a week earlier. */
static bool may_be_there(struct reader *reader, const yaml_node_t *window, const char *key, int metric, const struct config_place *place)
{
    if (metric < 0)
        return true;
    if (metric_is_employee(metric) && (place->rolling || place->window < CALENDAR_DAY))
        reader_fault(reader, node_line(window), key, "%s is an employees' figure, which only leaves in rows of a day, a week or a month; take one of these",
                     metric_name(metric));
    else if (metric == METRIC_volume_change &&
             (place->rolling || (place->window != CALENDAR_HOUR && place->window != CALENDAR_DAY && place->window != CALENDAR_WEEK)))
        reader_fault(reader, node_line(window), key, "volume_change compares an hour, a day or a week with that of the week before; take one of these");
    else
        return true;
    return false;
}

/* Eligible agents are counted for the tenant, its sites, teams and agents: the roster knows of nothing else. */
static bool may_count_agents(struct reader *reader, const yaml_node_t *node, const char *key, int metric, int measure, uint32_t scope)
{
    const uint32_t counted = 1u << DIMENSION_site | 1u << DIMENSION_team | 1u << DIMENSION_agent;
    if ((metric >= 0 ? metric_infos[metric].n : (enum measure)measure) != MEASURE_eligible_agents || !(scope & ~counted))
        return true;
    reader_fault(reader, node_line(node), key, "%s rests on eligible agents, who are counted by site, team and agent alone; take a scope of these, or []",
                 metric >= 0 ? metric_name(metric) : measure_name(measure));
    return false;
}

/* Which rows take figures from channels' rows is told by across.c. */
static bool may_compare_channels(struct reader *reader, int line, const char *key, int metric, uint32_t scope)
{
    const uint32_t channel = 1u << DIMENSION_channel;
    bool gap = metric >= 0 && metric_is_gap((enum metric)metric);
    char names[SCOPE_TEXT_MAX];
    if (metric == METRIC_conversion_lift && scope != channel)
        reader_fault(reader, line, key, "conversion_lift compares a channel with its tenant's others; take [channel]");
    else if (gap && scope & channel)
        reader_fault(reader, line, key, "%s compares channels, and a row of [%s] is of one alone; take a scope without channel", metric_name(metric),
                     scope_names(reader->config, scope, names));
    else if (gap && !config_has_scope(reader->config, scope | channel))
        reader_fault(reader, line, key, "%s compares the channels of a row, and [%s] is none of the configured scopes; add it to scopes:, or take another",
                     metric_name(metric), scope_names(reader->config, scope | channel, names));
    else
        return true;
    return false;
}

/* A scope in which the figure can have a value. */
static bool may_be_of(struct reader *reader, const yaml_node_t *node, int line, const char *key, int metric, int measure, uint32_t scope)
{
    return may_count_agents(reader, node, key, metric, measure, scope) && may_compare_channels(reader, node ? node_line(node) : line, key, metric, scope);
}

static bool goal_item(struct reader *reader, yaml_node_t *item, struct config_goal *goal)
{
    struct member member[GOAL_MEMBERS] = {{"name", NULL}, {"metric", NULL}, {"measure", NULL}, {"per", NULL}, {"scope", NULL}, {"match", NULL},
                                          {"window", NULL}, {"target", NULL}, {"direction", NULL}, {"alert", NULL}, {"for", NULL}, {"clear", NULL}};
    goal->line = node_line(item);
    if (!reader_wants_map(reader, item, goal->line, "goals", goal_form) || !reader_members(reader, item, "goals", member, GOAL_MEMBERS))
        return false;
    if (member[GOAL_NAME].value == NULL || member[GOAL_WINDOW].value == NULL) {
        reader_fault(reader, goal->line, "goals", "has no %s; write %s", member[GOAL_NAME].value ? "window" : "name", goal_form);
        return false;
    }
    bool right = goal_name(reader, member[GOAL_NAME].value, goal);
    bool figure = goal_figure(reader, member, goal) && goal_per(reader, member[GOAL_PER].value, goal) &&
                  goal_direction(reader, member[GOAL_DIRECTION].value, goal);
    right = window_find(reader, member[GOAL_WINDOW].value, "goals.window", &goal->place) &&
            may_be_there(reader, member[GOAL_WINDOW].value, "goals.window", goal->metric, &goal->place) && right;
    right = goal_numbers(reader, member, goal) && figure && goal_clear(reader, member[GOAL_CLEAR].value, goal) && right;
    char of[64];
    snprintf(of, sizeof of, goal->name ? " of goal %s" : "%s", goal->name ? goal->name : "");
    const yaml_node_t *scope = member[GOAL_SCOPE].value;
    right = scope_find(reader, scope, goal->line, "goals.scope", of, &goal->place.scope) &&
            may_be_of(reader, scope, goal->line, "goals.scope", goal->metric, goal->measure, goal->place.scope) && right;
    return right && goal_match(reader, member[GOAL_MATCH].value, goal);
}

void read_goals(struct reader *reader, yaml_node_t *node, int line, const char *key)
{
    struct config *config = reader->config;
    int count = reader_items(reader, node, line, key, "a list of goals", CONFIG_GOAL_MAX);
    if (count == 0)
        return;
    config->goal = calloc((size_t)count, sizeof *config->goal);
    ensure(config->goal != NULL, "no memory for the configuration");
    for (int i = 0; i < count; i++) {
        struct config_goal *goal = &config->goal[config->goal_count];
        if (goal_item(reader, reader_item(reader, node, i), goal) || goal->name)
            config->goal_count++;
    }
}

/* --- leaderboards --- */

static bool board_item(struct reader *reader, yaml_node_t *item, struct config_board *board)
{
    static const char form[] = "{metric: usage_rate, scope: [team], window: day}";
    struct member member[] = {{"metric", NULL}, {"scope", NULL}, {"window", NULL}};
    if (!reader_wants_map(reader, item, node_line(item), "leaderboards", form) || !reader_members(reader, item, "leaderboards", member, 3))
        return false;
    if (!member[0].value || !member[1].value || !member[2].value) {
        reader_fault(reader, node_line(item), "leaderboards", "needs all three; write %s", form);
        return false;
    }
    board->metric = metric_find(reader, member[0].value, "leaderboards.metric");
    bool right = window_find(reader, member[2].value, "leaderboards.window", &board->place) &&
                 may_be_there(reader, member[2].value, "leaderboards.window", board->metric, &board->place);
    return scope_find(reader, member[1].value, node_line(item), "leaderboards.scope", "", &board->place.scope) &&
           may_be_of(reader, member[1].value, node_line(item), "leaderboards.scope", board->metric, -1, board->place.scope) && right && board->metric >= 0;
}

static void board_name(const struct config *config, struct config_board *board)
{
    const struct config_place *place = &board->place;
    int length = snprintf(board->name, sizeof board->name, "top:%s:", metric_infos[board->metric].name);
    const char *comma = "";
    for (int d = 0; d < DIMENSION_MAX; d++)
        if (place->scope >> d & 1) {
            length += snprintf(board->name + length, sizeof board->name - (size_t)length, "%s%s", comma, config_dimension_name(config, d));
            comma = ",";
        }
    snprintf(board->name + length, sizeof board->name - (size_t)length, "%s:%s", *comma ? "" : "all",
             place->rolling ? config->rolling[place->window].name : calendar_names[place->window]);
}

void read_leaderboards(struct reader *reader, yaml_node_t *node, int line, const char *key)
{
    struct config *config = reader->config;
    int count = reader_items(reader, node, line, key, "a list of {metric: usage_rate, scope: [team], window: day}", CONFIG_BOARD_MAX);
    for (int i = 0; i < count; i++) {
        struct config_board *board = &config->board[config->board_count];
        yaml_node_t *item = reader_item(reader, node, i);
        if (!board_item(reader, item, board))
            continue;
        board_name(config, board);
        int same = 0;
        while (strcmp(config->board[same].name, board->name) != 0)
            same++;
        if (same < config->board_count)
            reader_fault(reader, node_line(item), key, "is there twice; take one out");
        else
            config->board_count++;
    }
}
