/* explain_compare: figures that hold a row against something else: a goal, the baseline, its channels, the other channels, the week
 * before. What the other side was is worked back from the figure, or read from the channels' rows where they are at hand. */
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "esteem/calendar.h"
#include "esteem/err.h"
#include "esteem/explain.h"
#include "esteem/goal.h"
#include "esteem/metric.h"
#include "explain_parts.h"

#define DAY_MS INT64_C(86400000)

/* A figure as a row has it. */
struct figure {
    bool present, small;
    double value;
    int64_t n;
    jv own; /* its object; null: none */
};

static struct figure figure_of(jv row, const char *name)
{
    jv metrics = row_member(row, "metrics");
    struct figure figure = {.own = row_member(metrics, name)};
    jv_free(metrics);
    figure.value = explain_number(figure.own, "value", NAN);
    figure.present = !isnan(figure.value);
    figure.n = explain_integer(figure.own, "n");
    figure.small = explain_is_true(figure.own, "small");
    return figure;
}

static void tell_small(const struct telling *telling, const struct figure *figure)
{
    if (figure->small) {
        explain_begin(telling, "small");
        fprintf(telling->out, "it rests on %" PRId64 ", which is below metrics.min_n: a few more could change it much\n", figure->n);
    }
}

/* ---- goals ---- */

static const struct config_goal *goal_named(const struct config *config, const char *field)
{
    for (int i = 0; config && i < config->goal_count; i++)
        if (strcmp(config->goal[i].field, field) == 0)
            return &config->goal[i];
    return NULL;
}

/* The goal's count of one day; a day without a row has none. */
static int64_t count_of_day(const struct telling *telling, const struct config_goal *goal, int64_t start_ms)
{
    char start[TIME_TEXT_MAX];
    int64_t count = 0;
    event_time_format(start_ms, start);
    jv_array_foreach(telling->others, i, row) {
        char *own = row_text(row, "start");
        jv measures = row_member(row, "measures");
        if (strcmp(own, start) == 0)
            count = explain_integer(measures, measure_names[goal->measure]);
        jv_free(measures);
        free(own);
        jv_free(row);
    }
    return count;
}

/* Each by itself; the goal is about their mean. Of a rolling window, those that lie in it whole. */
static void tell_days(const struct telling *telling, const struct config_goal *goal)
{
    char date[TIME_TEXT_MAX];
    struct calendar *calendar;
    if (telling->end_ms - telling->key.start_ms < 2 * DAY_MS || calendar_new(config_timezone(telling->config, telling->key.tenant), &calendar) != 0)
        return;
    const char *next = explain_begin(telling, "days"), *before = "";
    if (jv_get_kind(telling->others) != JV_KIND_ARRAY || jv_array_length(jv_copy(telling->others)) == 0)
        fputs("not at hand: rows of the window day, as compute prints them, tell of each (--row FILE)", telling->out);
    else
        for (int64_t at_ms = telling->key.start_ms, start_ms, end_ms; at_ms < telling->end_ms; at_ms = end_ms) {
            calendar_bounds(calendar, CALENDAR_DAY, at_ms, &start_ms, &end_ms);
            if (start_ms < telling->key.start_ms || end_ms > telling->end_ms)
                continue;
            int64_t count = count_of_day(telling, goal, start_ms);
            event_time_format(start_ms + calendar_offset_s(calendar, start_ms / 1000) * INT64_C(1000), date);
            bool met = goal->down ? (double)count <= goal->target : (double)count >= goal->target;
            fprintf(telling->out, "%s%.10s: %" PRId64 ", %s", before, date, count, met ? "met" : "missed");
            before = next;
        }
    fputc('\n', telling->out);
    calendar_free(calendar);
}

/* value / target: the row's attainment times the target is the value that was held against it; a count a day is divided by its days. */
static void tell_target(const struct telling *telling, const struct config_goal *goal, const struct figure *figure)
{
    const char *unit = goal->metric >= 0 ? metric_infos[goal->metric].unit : "";
    const char *name = goal->metric >= 0 ? metric_infos[goal->metric].name : measure_names[goal->measure];
    bool whole = telling->key.rank >= CALENDAR_DAY && telling->key.rank < CALENDAR_COUNT;
    explain_begin(telling, "target");
    fprintf(telling->out, "%s%s of ", name, goal->per_day ? " a day" : "");
    explain_put_figure(goal->target, unit, telling->out);
    fprintf(telling->out, " %s\n", goal->down ? "or less" : "or more");
    if (!figure->present)
        return;
    explain_begin(telling, "formula");
    fprintf(telling->out, "%s = 100 * %s%s / target = 100 * ", goal->field, name, goal->per_day ? " / days" : "");
    if (goal->per_day)
        fprintf(telling->out, "%" PRId64 " / %g", figure->n, goal_days(whole, telling->key.start_ms, telling->end_ms));
    else
        explain_put_figure(figure->value * goal->target / 100, unit, telling->out);
    fputs(" / ", telling->out);
    explain_put_figure(goal->target, unit, telling->out);
    fputs(" = ", telling->out);
    explain_put_figure(figure->value, "percent", telling->out);
    fputc('\n', telling->out);
    if (goal->per_day)
        tell_days(telling, goal);
}

int explain_goal(const struct telling *telling, const char *name, explain_where *where)
{
    const struct config_goal *goal = goal_named(telling->given ? telling->config : NULL, name);
    if (goal == NULL && telling->given)
        return err_set(ERR_USAGE, "%s has no goal %s", telling->config->path, name + strlen("goal."));
    struct figure figure = figure_of(telling->row, name);
    fprintf(telling->out, "%s: ", name);
    if (figure.present) {
        explain_put_figure(figure.value, "percent", telling->out);
        fprintf(telling->out, " of the target, %s\n", explain_is_true(figure.own, "met") ? "met" : "missed");
    } else {
        fputs("no value\n  the goal is not about this row, or what it asks for has no figure here\n", telling->out);
    }
    where(telling);
    if (goal) {
        tell_target(telling, goal, &figure);
    } else {
        explain_begin(telling, "target");
        fputs("not named: -c FILE tells the target, and whether it is met from above or from below\n", telling->out);
    }
    tell_small(telling, &figure);
    jv_free(figure.own);
    return 0;
}

/* ---- the baseline ---- */

static bool is_difference(const char *unit)
{
    return strcmp(unit, "percent") == 0 || strcmp(unit, "points") == 0 || strcmp(unit, "scale") == 0;
}

static void put_instant(const struct config_instant *instant, FILE *out)
{
    char text[TIME_TEXT_MAX];
    event_time_format(instant->local ? instant->at * INT64_C(86400000) : instant->at, text);
    fprintf(out, "%.*s", instant->local ? 10 : (int)strlen(text), text);
}

/* The value then is worked back: 80 less 5 points; 198,000 ms that are 10 % more were 180,000. */
static void tell_then(const struct telling *telling, const struct metric_info *info, const struct figure *change)
{
    struct figure now = figure_of(telling->row, info->name);
    bool difference = is_difference(info->unit);
    if (now.present && change->present && (difference || change->value > -100)) {
        explain_begin(telling, "formula");
        explain_put_figure(now.value, info->unit, telling->out);
        fputs(" now, ", telling->out);
        explain_put_figure(difference ? now.value - change->value : now.value / (1 + change->value / 100), info->unit, telling->out);
        fprintf(telling->out, " then: %s\n", difference ? "the difference in points" : "the difference in per cent of what it was then");
    }
    jv_free(now.own);
}

int explain_change(const struct telling *telling, const char *name, enum metric metric, explain_where *where)
{
    const struct metric_info *info = &metric_infos[metric];
    const struct config_baseline *baseline = &telling->config->baseline;
    bool named = false;
    for (int i = 0; i < baseline->count; i++)
        named |= baseline->metric[i] == (int)metric;
    if (telling->given && !named)
        return err_set(ERR_USAGE, "%s does not name %s in baseline.metrics", telling->config->path, info->name);
    struct figure figure = figure_of(telling->row, name);
    fprintf(telling->out, "%s: ", name);
    if (figure.present)
        explain_put_figure(figure.value, is_difference(info->unit) ? "points" : "percent", telling->out);
    else
        fputs("no value", telling->out);
    fprintf(telling->out, "\n  how %s (%s) has changed against the baseline\n", info->name, info->meaning);
    where(telling);
    explain_begin(telling, "baseline");
    if (named) {
        put_instant(&baseline->from, telling->out);
        fputs(" until before ", telling->out);
        put_instant(&baseline->to, telling->out);
        fputs(": the same scope, all of that period together\n", telling->out);
    } else {
        fputs("not named: -c FILE tells its period\n", telling->out);
    }
    tell_then(telling, info, &figure);
    if (!figure.present) {
        explain_begin(telling, "no value");
        fprintf(telling->out, "%s has no figure here, or had none in the baseline\n", info->name);
    }
    tell_small(telling, &figure);
    jv_free(figure.own);
    return 0;
}

/* ---- other rows ---- */

static enum metric compared_by(enum metric metric)
{
    switch (metric) {
    case METRIC_csat_gap: return METRIC_csat;
    case METRIC_nps_gap: return METRIC_nps;
    case METRIC_aht_gap_ms: return METRIC_aht_ms;
    default: return METRIC_service_level;
    }
}

enum explain_others explain_wants(const char *name, const struct config *config)
{
    const struct config_goal *goal = goal_named(config, name);
    if (strcmp(name, "csat_gap") == 0 || strcmp(name, "nps_gap") == 0 || strcmp(name, "aht_gap_ms") == 0 || strcmp(name, "sl_gap") == 0)
        return EXPLAIN_CHANNELS;
    return goal && goal->per_day ? EXPLAIN_DAYS : EXPLAIN_ALONE;
}

static char *channel_of(jv row)
{
    jv scope = row_member(row, "scope");
    char *channel = row_text(scope, "channel");
    jv_free(scope);
    return channel;
}

static void tell_channel(const struct telling *telling, const struct metric_info *info, jv row)
{
    struct figure figure = figure_of(row, info->name);
    char *channel = channel_of(row);
    fprintf(telling->out, "%s: ", channel);
    if (figure.present) {
        explain_put_figure(figure.value, info->unit, telling->out);
        fprintf(telling->out, ", n %" PRId64 "%s", figure.n, figure.small ? ": below metrics.min_n, it is not compared" : "");
    } else {
        fputs("no value", telling->out);
    }
    free(channel);
    jv_free(figure.own);
}

/* Largest and smallest of those that are compared; -1: none. */
static void find_ends(jv channels, const char *name, int *most, int *least)
{
    double high = NAN, low = NAN;
    *most = *least = -1;
    jv_array_foreach(channels, i, row) {
        struct figure figure = figure_of(row, name);
        if (figure.present && !figure.small && !(figure.value <= high))
            high = figure.value, *most = i;
        if (figure.present && !figure.small && !(figure.value >= low))
            low = figure.value, *least = i;
        jv_free(figure.own);
        jv_free(row);
    }
}

static void tell_gap(const struct telling *telling, enum metric metric)
{
    const struct metric_info *info = &metric_infos[compared_by(metric)];
    int most, least, count = jv_get_kind(telling->others) == JV_KIND_ARRAY ? jv_array_length(jv_copy(telling->others)) : 0;
    const char *next = explain_begin(telling, "channels");
    if (count == 0) {
        bool all = strcmp(telling->key.scope, "all") == 0;
        fprintf(telling->out, "not at hand; each is a row like this one with channel in its scope:%s", next);
        fprintf(telling->out, "redis-cli HGET 'esteem:v1:{%s}:channel=CHANNEL%s%s:%s' %s\n", telling->key.tenant_key, all ? "" : ",",
                all ? "" : telling->key.scope, telling->key.window, info->name);
        return;
    }
    find_ends(telling->others, info->name, &most, &least);
    jv_array_foreach(telling->others, i, row) {
        fputs(i ? next : "", telling->out);
        tell_channel(telling, info, row);
        fputs(most == least ? "" : i == most ? " (largest)" : i == least ? " (smallest)" : "", telling->out);
        jv_free(row);
    }
    fputc('\n', telling->out);
}

/* The other channels' share is worked back: 12 % here, 4 points more than there, is 8 % there. */
static void tell_lift(const struct telling *telling, const struct metric_value *value)
{
    int64_t closed = telling->view->measure[MEASURE_closed], converted = telling->view->measure[MEASURE_converted];
    if (!value->present || closed == 0)
        return;
    double here = 100.0 * (double)converted / (double)closed;
    explain_begin(telling, "compared");
    fprintf(telling->out, "%" PRId64 " / %" PRId64 " = ", converted, closed);
    explain_put_figure(here, "percent", telling->out);
    fputs(" here, ", telling->out);
    explain_put_figure(here - value->value, "percent", telling->out);
    fputs(" in the tenant's other channels together\n", telling->out);
}

/* 12 now are 20 % more than 10. */
static void tell_week(const struct telling *telling, const struct metric_value *value)
{
    int64_t closed = telling->view->measure[MEASURE_closed];
    if (!value->present || closed == 0 || value->value <= -100)
        return;
    explain_begin(telling, "compared");
    fprintf(telling->out, "%" PRId64 " contacts closed now, %.0f in the same %s of the week before\n", closed,
            (double)closed / (1 + value->value / 100), telling->key.window);
}

void explain_across(const struct telling *telling, enum metric metric, const struct metric_value *value)
{
    if (metric == METRIC_volume_change)
        tell_week(telling, value);
    else if (metric == METRIC_conversion_lift)
        tell_lift(telling, value);
    else
        tell_gap(telling, metric);
}
