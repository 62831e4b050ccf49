/* explain_words: one figure of one row, told from the tables: metrics.def has the formula, measures.def what its integers count,
 * options.def what a setting does, explain.def what hangs together (explain_beside.c). The row is read back (explain_read.c) and worked out again, so
 * that a row made under other settings is noticed and not explained wrongly. */
#include "esteem/explain.h"

#include <inttypes.h>
#include <limits.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "esteem/calendar.h"
#include "esteem/err.h"
#include "esteem/formula.h"
#include "esteem/row.h"
#include "control/config_parts.h"
#include "explain_parts.h"

/* ---- words ---- */

const char *explain_begin(const struct telling *telling, const char *what)
{
    fprintf(telling->out, "  %-10s", what);
    return "\n            ";
}

static void put_rounded(double value, int decimals, FILE *out)
{
    char text[64];
    (void)snprintf(text, sizeof text, "%.*f", decimals, value);
    if (strchr(text, '.'))
        for (size_t at = strlen(text) - 1; text[at] == '0' || text[at] == '.'; at--) {
            bool point = text[at] == '.';
            text[at] = '\0';
            if (point)
                break;
        }
    fputs(strcmp(text, "-0") == 0 ? "0" : text, out);
}

/* 258000 ms: "4 min 18 s". */
static void put_time_span(double ms, FILE *out)
{
    int64_t s = (int64_t)fmin(fabs(ms) / 1000, 0x1p50);
    if (s < 60) {
        put_rounded(ms / 1000, 1, out);
        fputs(" s", out);
    } else if (s < 3600) {
        fprintf(out, "%" PRId64 " min %" PRId64 " s", s / 60, s % 60);
    } else {
        fprintf(out, "%" PRId64 " h %" PRId64 " min", s / 3600, s / 60 % 60);
    }
}

static const char *unit_words(const char *unit)
{
    static const char *const words[][2] = {
        {"percent", " %"}, {"points", " points"}, {"ms", " ms"}, {"scale", ""}, {"minor", " minor units"}, {"per_contact", " per contact"},
        {"contacts", " contacts"}, {"ratio", ""}};
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        if (strcmp(words[i][0], unit) == 0)
            return words[i][1];
    return "";
}

void explain_put_figure(double value, const char *unit, FILE *out)
{
    put_rounded(value, 2, out);
    fputs(unit_words(unit), out);
    if (strcmp(unit, "ms") == 0) {
        fputs(" (", out);
        put_time_span(value, out);
        fputc(')', out);
    }
}

static void put_local(const struct telling *telling, const struct calendar *calendar, int64_t ms)
{
    char text[TIME_TEXT_MAX];
    event_time_format(ms + calendar_offset_s(calendar, ms / 1000) * INT64_C(1000), text);
    fprintf(telling->out, "%.10s %.8s", text, text + 11);
}

/* What a reload or a restart meant for a row whose window had begun: it lacks something, or was counted under several settings. */
static void tell_reloads(const struct telling *telling)
{
    char *since = row_text(telling->row, "since");
    if (*since) {
        explain_begin(telling, "since");
        fprintf(telling->out, "whole from %s on: a reload or a restart brought its scope or window, and what was over by then may be missing\n", since);
    }
    free(since);
    jv configs = jv_object_get(jv_copy(telling->row), jv_string("configs"));
    int count = jv_get_kind(configs) == JV_KIND_ARRAY ? jv_array_length(jv_copy(configs)) : 0;
    if (count > 1) {
        explain_begin(telling, "mixed");
        fputs("settings changed while it ran, under", telling->out);
        for (int i = 0; i < count; i++) {
            jv id = jv_array_get(jv_copy(configs), i);
            fprintf(telling->out, "%s %s", i ? "," : "", jv_get_kind(id) == JV_KIND_STRING ? jv_string_value(id) : "?");
            jv_free(id);
        }
        fputs(": what was counted before a change stays as it was counted\n", telling->out);
    }
    jv_free(configs);
}

static void tell_where(const struct telling *telling)
{
    char start[TIME_TEXT_MAX], end[TIME_TEXT_MAX];
    char *since = row_text(telling->row, "since");
    bool final = explain_is_true(telling->row, "final"), partial = explain_is_true(telling->row, "partial") && !*since;
    free(since);
    const char *next = explain_begin(telling, "where");
    fprintf(telling->out, "%s, %s, window %s\n", telling->key.tenant, telling->key.scope, telling->key.window);
    explain_begin(telling, "when");
    event_time_format(telling->key.start_ms, start);
    event_time_format(telling->end_ms, end);
    const char *state = telling->key.rank >= CALENDAR_COUNT ? "a rolling window: it moves on"
                        : final                             ? "final (late events may still correct it)"
                                                            : "not final: it still changes";
    if (strcmp(telling->key.window, "now") == 0)
        fprintf(telling->out, "at %s; gauges of the present, no window", end);
    else
        fprintf(telling->out, "from %s until before %s; %s", start, end, state);
    if (partial)
        fputs("; partial: its newest moments are still being filled", telling->out);
    if (explain_is_true(telling->row, "inexact"))
        fputs("; inexact: interactions had to be retired that it may need", telling->out);
    struct calendar *calendar;
    const char *zone = config_timezone(telling->config, telling->key.tenant);
    if (telling->given && strcmp(zone, "UTC") != 0 && calendar_new(zone, &calendar) == 0) {
        fprintf(telling->out, "%sin %s ", next, zone);
        put_local(telling, calendar, telling->key.start_ms);
        fputs(" to ", telling->out);
        put_local(telling, calendar, telling->end_ms);
        calendar_free(calendar);
    }
    fputc('\n', telling->out);
    tell_reloads(telling);
}

/* A share in percent is told without its factor: 86 / 115 = 74.78 %. */
static void put_formula(const struct telling *telling, enum metric metric, const struct row_view *view)
{
    static const char factor[] = "100 * ";
    char *text = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);
    ensure(out != NULL, "the machine has memory left");
    formula_put(metric, telling->config, view, out);
    fclose(out);
    bool share = strcmp(metric_infos[metric].unit, "percent") == 0 && strncmp(text, factor, sizeof factor - 1) == 0;
    fputs(text + (share ? sizeof factor - 1 : 0), telling->out);
    free(text);
}

static bool agrees(const struct metric_value *row, const struct metric_value *again)
{
    return row->present == again->present && (!row->present || fabs(row->value - again->value) < 1e-6 * fmax(1, fabs(row->value)));
}

static void tell_formula(const struct telling *telling, enum metric metric, const struct metric_value *value)
{
    const struct metric_info *info = &metric_infos[metric];
    const struct metric_value *again = &telling->view->metric[metric];
    enum histogram histogram;
    int share = formula_percentile(metric, &histogram);
    bool across = metric_is_across(metric);
    const char *next = explain_begin(telling, "formula");
    fprintf(telling->out, "%s = ", info->name);
    put_formula(telling, metric, NULL);
    if (across) {
        if (value->present) {
            fputs(" = ", telling->out);
            explain_put_figure(value->value, info->unit, telling->out);
        }
        fputc('\n', telling->out);
        explain_across(telling, metric, value);
        return;
    }
    if (share && value->present) {
        fprintf(telling->out, "%s= number %" PRId64 " of %" PRId64 " sorted %s times = ", next, value->n / 100 * share + (value->n % 100 * share + 99) / 100, value->n, histogram_names[histogram]);
        explain_put_figure(value->value, info->unit, telling->out);
        fprintf(telling->out, "%stimes are kept in buckets: it is within 1.6 %% of the true one", next);
    } else if (!share && (again->present || !value->present)) {
        fputs(" = ", telling->out);
        put_formula(telling, metric, telling->view);
        if (again->present) {
            fputs(" = ", telling->out);
            explain_put_figure(again->value, info->unit, telling->out);
        }
    }
    if (!share && !agrees(value, again)) {
        fprintf(telling->out, "%sbut the row says ", next);
        if (value->present)
            explain_put_figure(value->value, info->unit, telling->out);
        else
            fputs("nothing", telling->out);
        fprintf(telling->out, ": it was made under other settings than %s", telling->given ? "these" : "the defaults; name them with -c FILE");
    }
    fputc('\n', telling->out);
}

static void tell_certainty(const struct telling *telling, enum metric metric, const struct metric_value *value)
{
    if (value->interval) {
        explain_begin(telling, "how sure");
        fputs("between ", telling->out);
        put_rounded(value->low, 1, telling->out);
        fputs(" and ", telling->out);
        put_rounded(value->high, 1, telling->out);
        fprintf(telling->out, "%s with 95 %% confidence\n", unit_words(metric_infos[metric].unit));
    }
    if (value->margin) {
        explain_begin(telling, "how sure");
        fputs("give or take ", telling->out);
        put_rounded(value->moe, 1, telling->out);
        fprintf(telling->out, "%s with 95 %% confidence\n", unit_words(metric_infos[metric].unit));
    }
    if (value->small && metric_is_gap(metric)) {
        explain_begin(telling, "small");
        fputs("one channel alone has metrics.min_n: there is none to compare it with\n", telling->out);
    } else if (value->small) {
        explain_begin(telling, "small");
        fprintf(telling->out, "it rests on %" PRId64 ", which is below metrics.min_n", value->n);
        if (telling->given)
            fprintf(telling->out, " (%" PRId64 ")", telling->config->min_n);
        fputs(": a few more could change it much\n", telling->out);
    }
}

static bool is_among(enum measure measure, const enum measure *measures, int count)
{
    for (int i = 0; i < count; i++)
        if (measures[i] == measure)
            return true;
    return false;
}

/* In the order of measures.def, whose meanings refer to the one before ("of those, ..."). */
static void tell_measures(const struct telling *telling, const enum measure *measures, int count)
{
    const char *before = explain_begin(telling, "counted");
    bool first = true;
    for (enum measure measure = 0; measure < MEASURE_COUNT; measure++)
        if (is_among(measure, measures, count)) {
            fprintf(telling->out, "%s%s %" PRId64 ": %s", first ? "" : before, measure_names[measure], telling->view->measure[measure],
                    measure_meanings[measure]);
            first = false;
        }
    fputs(count ? "\n" : "nothing by name: it is read from a histogram\n", telling->out);
}

/* ---- the whole ---- */

static void tell_deeper(const struct telling *telling)
{
    const char *next = explain_begin(telling, "deeper");
    char start[TIME_TEXT_MAX];
    event_time_format(telling->key.start_ms, start);
    bool calendar = telling->key.rank < CALENDAR_COUNT, over = calendar && explain_is_true(telling->row, "final");
    fprintf(telling->out, "redis-cli HGET 'esteem:v1:{%s}:%s:%s%s' row | jq .measures", telling->key.tenant_key, telling->key.scope, telling->key.window,
            over ? ":last" : "");
    if (calendar)
        fprintf(telling->out, "%s%s; key in a topic %s|%s|%s|%s", next,
                over ? "as long as no newer one is over" : "when its window is over, the same with :last behind the key", telling->key.tenant_key,
                telling->key.scope, telling->key.window, start);
    fprintf(telling->out, "%severy formula, with examples: esteem schema metrics\n", next);
}

static void tell_withheld(const struct telling *telling)
{
    explain_begin(telling, "withheld");
    if (telling->key.rank < CALENDAR_DAY || telling->key.rank >= CALENDAR_COUNT)
        fprintf(telling->out, "employees' figures leave in rows of a day, week or month only; this is %s\n", telling->key.window);
    else if (!explain_is_true(telling->row, "final"))
        fputs("employees' figures leave in final rows only; this one still changes\n", telling->out);
    else if (telling->given)
        fprintf(telling->out, "fewer than privacy.min_employees (%" PRId64 ") employees' answers, perhaps none: fewer would tell who said what\n",
                telling->config->min_employees);
    else
        fputs("fewer than privacy.min_employees employees' answers, perhaps none: fewer would tell who said what\n", telling->out);
}

/* A quotient whose divisor is 0, a percentile of no times, a product of nothing. */
static void tell_absent(const struct telling *telling, enum metric metric)
{
    const enum measure n = metric_infos[metric].n;
    const char *formula = metric_infos[metric].formula;
    explain_begin(telling, "no value");
    if (metric_is_across(metric))
        fputs("there is no row to compare with, or too little in it\n", telling->out);
    else if (telling->view->metric[metric].present)
        fputs("the row has none, though its integers would give one\n", telling->out);
    else
        fprintf(telling->out, "%s (%s: %s)\n", strchr(formula, '/') ? "it divides by 0: there is nothing that it could rest on" : "nothing was counted that it could rest on",
                measure_names[n], measure_meanings[n]);
}

static void tell_metric(const struct telling *telling, enum metric metric)
{
    const struct metric_info *info = &metric_infos[metric];
    struct metric_value value = explain_value_of(telling, metric);
    enum measure measures[TOLD_MEASURES];
    int count = formula_measures(metric, telling->config, measures, TOLD_MEASURES);
    bool withheld = info->family == FAMILY_EMPLOYEE && telling->withheld_all;
    fprintf(telling->out, "%s: ", info->name);
    if (value.present) {
        explain_put_figure(value.value, info->unit, telling->out);
        char *band = explain_text_of(telling, info->name, "band");
        if (*band)
            fprintf(telling->out, ", which is %s", band);
        free(band);
    } else
        fputs(withheld ? "withheld" : "no value", telling->out);
    fprintf(telling->out, "\n  %s", info->meaning);
    fputs(strcmp(info->direction, "up") == 0 ? "; more is better\n" : strcmp(info->direction, "down") == 0 ? "; less is better\n" : "\n", telling->out);
    tell_where(telling);
    if (withheld) {
        tell_withheld(telling);
    } else {
        tell_formula(telling, metric, &value);
        if (!value.present)
            tell_absent(telling, metric);
        tell_certainty(telling, metric, &value);
        if (count || !metric_is_across(metric))
            tell_measures(telling, measures, count);
        explain_left_out(telling, metric, measures, count);
        explain_notes(telling, info->name);
    }
    explain_settings(telling, (int)metric, measures, count);
    explain_begin(telling, "whose");
    fprintf(telling->out, "%s\n", metric == METRIC_service_level ? service_level_infos[telling->config->abandons].source : info->source);
    tell_deeper(telling);
}

static void tell_measure(const struct telling *telling, enum measure measure)
{
    bool withheld = measure_is_employee(measure) && telling->withheld_all;
    fprintf(telling->out, "%s: ", measure_names[measure]);
    if (withheld)
        fputs("withheld", telling->out);
    else
        fprintf(telling->out, "%" PRId64, telling->view->measure[measure]);
    fprintf(telling->out, "\n  %s; an integer that is counted, no metric\n", measure_meanings[measure]);
    tell_where(telling);
    if (withheld)
        tell_withheld(telling);
    explain_notes(telling, measure_names[measure]);
    explain_settings(telling, -1, &measure, 1);
    tell_deeper(telling);
}

static int find_metric(const char *name)
{
    for (int i = 0; i < METRIC_COUNT; i++)
        if (strcmp(metric_infos[i].name, name) == 0)
            return i;
    return -1;
}

static int find_measure(const char *name)
{
    for (int i = 0; i < MEASURE_COUNT; i++)
        if (strcmp(measure_names[i], name) == 0)
            return i;
    return -1;
}

/* csat_change: the metric csat. */
static int find_change(const char *name)
{
    static const char suffix[] = "_change";
    char metric[64];
    size_t length = strlen(name), end = sizeof suffix - 1;
    if (length <= end || length - end >= sizeof metric || strcmp(name + length - end, suffix) != 0)
        return -1;
    snprintf(metric, sizeof metric, "%.*s", (int)(length - end), name);
    return find_metric(metric);
}

/* A name that is none of the tables': the nearest is proposed, as `check` does. */
static int unknown_name(const char *name)
{
    const char *nearest = "";
    int least = INT_MAX;
    for (int i = 0; i < METRIC_COUNT + MEASURE_COUNT; i++) {
        const char *known = i < METRIC_COUNT ? metric_infos[i].name : measure_names[i - METRIC_COUNT];
        int distance = word_distance(name, known);
        nearest = distance < least ? known : nearest;
        least = distance < least ? distance : least;
    }
    if (word_near(name, least))
        return err_set(ERR_USAGE, "%s is no metric and no measure; did you mean %s?", name, nearest);
    return err_set(ERR_USAGE, "%s is no metric and no measure; esteem schema metrics lists them", name);
}

int explain_row(jv row, jv others, const char *name, const struct config *config, FILE *out)
{
    struct telling telling;
    int metric = find_metric(name), measure = find_measure(name), change = metric < 0 ? find_change(name) : -1;
    bool goal = strncmp(name, "goal.", 5) == 0;
    if (metric < 0 && measure < 0 && change < 0 && !goal)
        return unknown_name(name);
    int result = explain_open(&telling, row, config, out);
    if (result != 0)
        return result;
    telling.others = others;
    if (goal || change >= 0) {
        result = goal ? explain_goal(&telling, name, tell_where) : explain_change(&telling, name, (enum metric)change, tell_where);
        if (result == 0)
            tell_deeper(&telling);
    } else if (metric >= 0)
        tell_metric(&telling, (enum metric)metric);
    else
        tell_measure(&telling, (enum measure)measure);
    explain_close(&telling);
    return result;
}
