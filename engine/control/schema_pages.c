/* schema_pages: the pages in markdown: every metric and measure, and where rows are to be found.
 *
 *   measures.def, metrics.def      ──> metrics.md
 *   observe.def                    ──> observe.md
 *   defaults of the configuration  ──> redis-keys.md (names of windows, topics and keys) */
#include "esteem/schema.h"

#include <ctype.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "esteem/config.h"
#include "esteem/err.h"
#include "esteem/formula.h"
#include "esteem/metric.h"
#include "esteem/observe.h"
#include "esteem/redis.h"

/* ---- metrics ---- */

/* ` = 83.333333, between 55.196914 and 95.303486`. */
static void put_value(const struct metric_value *value, FILE *out)
{
    char text[ROW_NUMBER_MAX], other[ROW_NUMBER_MAX];
    row_number(value->value, text);
    fprintf(out, " = %s", text);
    if (value->interval) {
        row_number(value->low, text);
        row_number(value->high, other);
        fprintf(out, ", between %s and %s", text, other);
    }
    if (value->margin) {
        row_number(value->moe, text);
        fprintf(out, ", within %s", text);
    }
}

/* Worked out while the page is made, by the code that works out rows. */
static void put_example(enum metric metric, const struct row_view *example, FILE *out)
{
    enum histogram histogram;
    if (!example->metric[metric].present) {
        fputc('-', out);
        return;
    }
    formula_put(metric, example->config, example, out);
    if (formula_percentile(metric, &histogram))
        fprintf(out, ", %" PRId64 " of them", example->metric[metric].n);
    put_value(&example->metric[metric], out);
}

static void metric_family(enum family family, const struct row_view *example, FILE *out)
{
    bool any = false;
    for (int i = 0; i < METRIC_COUNT; i++) {
        const struct metric_info *info = &metric_infos[i];
        if (info->family != family)
            continue;
        if (!any)
            fprintf(out, "\n### %s\n\n| metric | unit | better | formula | example | n | meaning | whose definition |\n"
                         "| --- | --- | --- | --- | --- | --- | --- | --- |\n", family_names[family]);
        any = true;
        fprintf(out, "| `%s` | %s | %s | `", info->name, info->unit, info->direction);
        formula_put((enum metric)i, NULL, NULL, out);
        fputs("` | ", out);
        put_example((enum metric)i, example, out);
        bool gap = metric_is_gap((enum metric)i);
        fprintf(out, " | %s%s%s | %s | %s |\n", gap ? "" : "`", gap ? "channels" : measure_names[info->n], gap ? "" : "`", info->meaning, info->source);
    }
}

/* The example's contacts under each policy. */
static void service_level_policies(struct row_view *example, struct config *config, FILE *out)
{
    const int kept = config->abandons;
    fputs("\n### service_level by service_level.abandons\n\n| abandons | formula | example | meaning | whose definition |\n"
          "| --- | --- | --- | --- | --- |\n", out);
    for (int policy = 0; policy < SERVICE_LEVEL_POLICIES; policy++) {
        const struct service_level_info *info = &service_level_infos[policy];
        fputs("| `", out);
        for (const char *at = info->name; *at; at++)
            fputc(tolower((unsigned char)*at), out);
        fputs("` | `", out);
        formula_put_service_level((enum abandons)policy, NULL, out);
        fputs("` | ", out);
        formula_put_service_level((enum abandons)policy, example, out);
        config->abandons = policy;
        formula_example(example, config);
        put_value(&example->metric[METRIC_service_level], out);
        fprintf(out, " | %s | %s |\n", info->meaning, info->source);
    }
    config->abandons = kept;
    formula_example(example, config);
}

static void measure_row(enum measure measure, FILE *out)
{
    const char *comma = "";
    fprintf(out, "| `%s` | ", measure_names[measure]);
    for (int f = 0; f < FAMILY_COUNT; f++)
        if (measure_families[measure] >> f & 1) {
            fprintf(out, "%s%s", comma, family_names[f]);
            comma = ", ";
        }
    fprintf(out, " | %s |\n", measure_meanings[measure]);
}

void schema_metrics(FILE *out)
{
    fputs("# Metrics and measures\n\n"
          "Made from `metrics.def` and `measures.def` by `esteem schema metrics`; do not edit.\n\n"
          "A window holds measures: signed integers, which add and subtract exactly. A metric is worked out from them when a\n"
          "row is published, and goes with the measures that it came from.\n\n"
          "## Metrics\n\n"
          "Without a denominator a metric is absent. *n* is what it rests on: its denominator, else the measure named here; below\n"
          "`metrics.min_n` it is marked `small` (a gap, where one channel alone has so many). *better*: `up`, more is better; `down`,\n"
          "less. Units: `percent` 0 to 100 (a rate of events a contact may exceed it); `points` -100 to 100; `ms` milliseconds; `scale`\n"
          "the survey's own; `contacts` a number of contacts; `minor` minor units of the currency; `ratio` a plain quotient. A\n"
          "percentile's formula names its histogram: its value is the middle of the bucket that holds that rank, within 1.6 % of the\n"
          "true one.\n\n"
          "The examples are one made-up hour under the default settings, worked out by the code that works out rows: change a\n"
          "formula and they change. `esteem explain KEY METRIC` does the same with a row of yours. The last column says whose\n"
          "definition a metric follows, so that it can be held against another system's; no conformity with a standard (COPC,\n"
          "ISO 18295) is claimed.\n", out);
    struct config *config;
    struct row_view *example = calloc(1, sizeof *example);
    ensure(example != NULL, "the machine has memory left");
    ensure(config_parse("defaults", "", 0, NULL, &config) == 0, "an empty file is a configuration");
    formula_example(example, config);
    for (int f = 0; f < FAMILY_COUNT; f++) {
        metric_family((enum family)f, example, out);
        if (f == FAMILY_SERVICE)
            service_level_policies(example, config, out);
    }
    free(example);
    config_free(config);
    fputs("\n## Measures\n\n"
          "Families are the metric topics that carry a measure. What the family `employee` holds leaves only in final calendar\n"
          "rows of a day or longer with at least `privacy.min_employees` answers (`employee_survey_sent` always).\n\n"
          "| measure | families | meaning |\n| --- | --- | --- |\n", out);
    for (int i = 0; i < MEASURE_COUNT; i++)
        if (measure_families[i]) /* inner ones are in no row */
            measure_row((enum measure)i, out);
    fputs("\n## Now\n\n"
          "Gauges of the present, from what is known of the contacts and agents so far: in a row of their own (`...:now` in Redis), in no\n"
          "window, on no topic, and not in `compute`, which has no present. A fact that comes late, or twice, changes them as if it had come in\n"
          "time. A contact with an `interaction.completed` is over; one that is forgotten (`retention.interaction`) is nothing any more.\n\n"
          "| gauge | scopes | meaning |\n| --- | --- | --- |\n", out);
    for (int i = MEASURE_waiting; i <= MEASURE_agents_away; i++)
        fprintf(out, "| `%s` | %s | %s |\n", measure_names[i],
                i <= MEASURE_longest_wait_ms ? "entry dimensions" : i <= MEASURE_in_wrap ? "the segment's" : "the state's", measure_meanings[i]);
}

/* ---- Redis keys and topics ---- */

static void redis_keys(FILE *out)
{
    fprintf(out,
            "## Redis\n\n"
            "| key | type | holds |\n| --- | --- | --- |\n"
            "| `esteem:v1:{TENANT}:SCOPE:WINDOW` | hash | a row |\n"
            "| `esteem:v1:{TENANT}:SCOPE:WINDOW:last` | hash | calendar windows: the newest one that has ended; corrected when "
            "late events mend it |\n"
            "| `esteem:v1:{TENANT}:SCOPE:now` | hash | gauges of the present (metrics.md), each a field, 0 where there is none; told with each "
            "change, each second while anyone waits, and every few minutes else; gone ten minutes after the last time |\n"
            "| `esteem:v1:{TENANT}:scopes` | sorted set | every SCOPE, scored by the newest instant (ms since 1970) that its rows "
            "reach |\n"
            "| `esteem:v1:{TENANT}:changed` | pub/sub channel | keys that have changed, one a line, told when they can be read; a tick's come in "
            "messages of hundreds, and beyond %d of them (of several ticks, where Redis is behind) each message is `*`: any may have changed |\n"
            "| `esteem:v1:{TENANT}:goals` | sorted set | `GOAL\\|SCOPE` of every goal that is missed now, by the rows of `metrics.min_n` or more: "
            "by how many per cent of the target. `ZREVRANGE esteem:v1:{acme}:goals 0 -1 WITHSCORES`: who needs help most |\n"
            "| `esteem:v1:{TENANT}:top:METRIC:DIMENSIONS:WINDOW` | sorted set | a leaderboard: SCOPE, scored by the metric, of the rows of "
            "`metrics.min_n` or more |\n"
            "| `esteem:v1:{TENANT}:alerts` | hash | `GOAL\\|SCOPE` -> its newest alert as JSON: `state` `missed` or `met`, goal, tenant, scope, "
            "window, start, end, metric (or measure), value, target, n, `since` when, `at` which time it was told, config; gone when its goal is removed, unless it was met more than ten minutes ago |\n"
            "| `esteem:v1:{TENANT}:alerts` | pub/sub channel | the same, one a message; where the goal was removed, or is about another scope or window now, "
            "`state` `removed`, goal, tenant, scope, `at`, config |\n"
            "| `esteem:v1:catalogue` | hash | metric -> its unit, formula, direction, meaning and family, as JSON |\n"
            "| `esteem:v1:fence` | number | the newest instance; an older one that sees it stops |\n"
            "| `esteem:v1:shadow.NAME:...` | | the same keys of `esteem shadow NAME`: `esteem:v1:shadow.next:{acme}:all:5m`; `esteem shadow drop` and "
            "`swap` delete them |\n\n",
            REDIS_CHANGED_MAX);
    fputs("Goals and leaderboards tell of rolling windows and of the calendar window that runs; employees' figures, and counts that have\n"
          "to be reached, of the last one closed. A key that never had a figure in a window has no row there; one whose\n"
          "figures have all left it keeps a row without metrics, `start` and `end` as they were then or, of a calendar window, of the one that runs, until\n"
          "its time to live is over. Neither is in any of them.\n\n", out);
    fputs("TENANT stands in braces, so that its keys lie in one cluster slot. SCOPE is `all` for the whole tenant, else its\n"
          "dimensions in the order of `dimensions.def`: `channel=chat,queue=billing`. Within values `:` `=` `,` `{` `}` `%`, space\n"
          "and control bytes are percent-encoded: `queue=credit%20cards`.\n\n", out);
}

static void redis_windows(const struct config *config, FILE *out)
{
    fputs("WINDOW is one of the configuration's; by default rolling", out);
    for (int i = 0; i < config->rolling_count; i++)
        fprintf(out, "%s `%s`", i ? "," : "", config->rolling[i].name);
    fputs("; calendar", out);
    const char *comma = "";
    for (int i = 0; i < CALENDAR_COUNT; i++)
        if (config->calendar >> i & 1) {
            fprintf(out, "%s `%s`", comma, calendar_names[i]);
            comma = ",";
        }
    fputs(".\nA key's time to live is twice its window and ten minutes, for calendar windows `retention.correction` more; a change\n"
          "renews it when half of it is over. A row that only an earlier life had told is emptied after the next start.\n"
          "A key that was evicted, or deleted by another program, comes with the next change of its row, then without time to live and without\n"
          "the METRIC`_small` that it had (`row` says them all); whole with the change after that, and within five minutes at the latest.\n\n", out);
}

static void redis_fields(FILE *out)
{
    fputs("| field of a row's hash | holds |\n| --- | --- |\n"
          "| `start`, `end` | RFC 3339, UTC; the end is the first instant after it |\n"
          "| `revision` | 0: not final; 1: the first final row; one more each time its figures change |\n"
          "| `final`, `partial` | `true` or `false` |\n"
          "| `inexact` | `true` where interactions had to be retired; else absent |\n"
          "| `config` | names the settings that make numbers |\n"
          "| METRIC | its value (see metrics.md); absent without a denominator |\n"
          "| METRIC`_n` | how many figures it rests on |\n"
          "| METRIC`_low`, METRIC`_high`, METRIC`_moe` | 95 % interval; margin of error: where the metric has one |\n"
          "| METRIC`_band` | `low`, `middle` or `high`: where the metric has bands |\n"
          "| METRIC`_small` | `true` where n is below `metrics.min_n`; else absent |\n"
          "| METRIC`_change`, METRIC`_change_n`, METRIC`_change_small` | against the baseline, for the metrics that `baseline` names: shares "
          "and scores in points, others in per cent of the baseline's value; `_small` `true` or `false` |\n"
          "| `goal.`NAME, `goal.`NAME`_n`, `goal.`NAME`_small`, `goal.`NAME`_met` | where the goal is about the row: 100 * value / target; `_met`, "
          "`true` or `false`, by the direction |\n"
          "| `row` | the whole row as JSON, with all measures (row.schema.json); here alone are `since` and `configs`, of windows that a reload or a "
          "restart met while they ran |\n\n", out);
}

static void topics_families(const struct config *config, FILE *out)
{
    for (int f = 0; f < FAMILY_COUNT; f++) {
        const char *comma = "";
        fprintf(out, "| `%s%s` | ", config->topics_prefix, family_names[f]);
        for (int i = 0; i < METRIC_COUNT; i++)
            if (metric_infos[i].family == (enum family)f) {
                fprintf(out, "%s`%s`", comma, metric_infos[i].name);
                comma = ", ";
            }
        fprintf(out, "%s |\n", *comma ? "" : "measures only");
    }
}

void schema_redis(FILE *out)
{
    struct config *config;
    ensure(config_parse("defaults", "", 0, NULL, &config) == 0, "an empty file is a configuration");
    fputs("# Where rows are\n\nMade from the tables by `esteem schema redis`; do not edit.\n\n", out);
    redis_keys(out);
    redis_windows(config, out);
    redis_fields(out);
    fprintf(out, "## Topics\n\n"
                 "One topic a family; the value is the row with that family's metrics and measures (row.schema.json). The key\n"
                 "is `TENANT|SCOPE|WINDOW|START` for calendar windows and `TENANT|SCOPE|WINDOW` for rolling ones. A family that\n"
                 "has nothing any more under a key is sent once more, empty; so is, after a restart, what only an earlier life had told.\n"
                 "The names begin with `topics.prefix` (`%s`).\n\n"
                 "A topic that is not there is created, with one partition and `cleanup.policy=compact,delete`, and the brokers' number of replicas and\n"
                 "retention. With ACLs esteem's user needs Create (where they are not there), Write and Read of these topics, Read for what they hold from\n"
                 "before a start, and IdempotentWrite of the cluster; of the dead-letter topic (one partition, `delete`) Create and Write; of the source\n"
                 "topics and the group `kafka.group` Read. Describe goes with Read and Write.\n\n"
                 "| topic | metrics |\n| --- | --- |\n", config->topics_prefix);
    topics_families(config, out);
    fprintf(out, "\n`%salerts` has what the channel `alerts` of Redis tells, goals missed, met again and removed, under `TENANT|GOAL|SCOPE`. An alert comes once; after a\n"
                 "fault of the broker or of Redis, or a kill within half a minute, the same one may come again: `goal`, `scope` and `at` are its name.\n",
            config->topics_prefix);
    fprintf(out, "\n## Refused events\n\n"
                 "`topics.deadletter` (`%s`) has their original bytes; the headers say why: `esteem-topic`,\n"
                 "`esteem-partition`, `esteem-offset` (where it came from), `esteem-reason`, `esteem-field`, `esteem-text` (the last two\n"
                 "where there is anything to say), `esteem-config`; `esteem-truncated` and `esteem-length` where it had to be cut.\n\n"
                 "| reason | meaning |\n| --- | --- |\n", config->deadletter);
#define REFUSAL(name, meaning) fputs("| `" #name "` | " meaning " |\n", out);
#include "esteem/events.def"
    config_free(config);
}

/* ---- the engine itself ---- */

void schema_observe(FILE *out)
{
    fputs("# What the engine tells of itself\n\nMade by `esteem schema observe` from `observe.def`. `GET /metrics` at `http.listen`, in the text form of Prometheus\n"
          "or, where it is accepted, OpenMetrics 1.0. Counters count since the start of the process.\n\n"
          "| metric | kind | labels | what |\n| --- | --- | --- | --- |\n", out);
    for (int i = 0; i < OBSERVE_COUNT; i++) {
        const struct observe_row *row = &observe_rows[i];
        bool counter = row->kind == OBSERVE_KIND_COUNTER;
        fprintf(out, "| `esteem_%s%s` | %s | %s | %s |\n", row->name, counter ? "_total" : "", observe_kinds[row->kind], row->labels, row->help);
    }
}
