/* Recall: names of rows taken apart and looked up, and what a fold makes of those that it has not. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "esteem/recall.h"
#include "support/figures.h"
#include "support/folding.h"
#include "support/settings.h"
#include "support/times.h"

static const int64_t t0 = T;
#define T0 "2026-11-22T14:00:00Z"

static const char *const plain = "windows: {rolling: [1m, 5m], calendar: [hour]}\nscopes: [[], [queue], [channel, queue]]\n";

/* ---- names ---- */

static struct recalled *of_topic(const struct config *config, const char *key)
{
    struct recall_name name;
    return recall_topic_key(key, strlen(key), &name) ? recalled_new(config, &name) : NULL;
}

static struct recalled *of_redis(const struct config *config, const char *key, const char *start)
{
    struct recall_name name;
    bool last;
    if (!recall_redis_key("esteem:v1:", key, strlen(key), &name, &last))
        return NULL;
    if (start)
        name.start = (struct recall_text){start, strlen(start)};
    struct recalled *row = recalled_new(config, &name);
    if (row) {
        row->running = start && !last;
        row->last = last;
    }
    return row;
}

Test(recall, a_topic_key_is_taken_apart)
{
    struct config *config = config_of(plain);
    struct recalled *hour = of_topic(config, "acme|channel=chat,queue=billing|hour|" T0), *rolling = of_topic(config, "acme|all|5m");
    cr_assert(hour && rolling);
    cr_expect_str_eq(hour->key.tenant, "acme");
    cr_expect_eq(hour->key.count, 2);
    cr_expect_eq(hour->key.scope, 1u << DIMENSION_channel | 1u << DIMENSION_queue);
    cr_expect_str_eq(hour->key.value[0], hour->key.dimension[0] == DIMENSION_channel ? "chat" : "billing");
    cr_expect(!hour->rolling && hour->window == CALENDAR_HOUR && hour->start_ms == t0);
    cr_expect(rolling->rolling && strcmp(rolling->rolling, "5m") == 0 && rolling->key.count == 0);
    recalled_free(hour);
    recalled_free(rolling);
    config_free(config);
}

Test(recall, values_and_tenants_may_hold_any_byte)
{
    static const char *const odd[] = {"a|b", "|hour|2026-11-22T14:00:00Z", "x=y,z:{%}", "sp ace\ttab", "nul\xc0\x80nul", "\xc3\xa4", "all"};
    struct config *config = config_of(plain);
    for (size_t i = 0; i < sizeof odd / sizeof *odd; i++) {
        const uint8_t dimension[] = {DIMENSION_queue};
        const char *value[] = {odd[i]};
        char scope[ROW_SCOPE_MAX], tenant[1024], key[ROW_SCOPE_MAX + 2048];
        row_scope_text(config, dimension, value, 1, scope, sizeof scope);
        row_encode(odd[i], tenant, sizeof tenant);
        for (int form = 0; form < 4; form++) {
            static const char *const forms[] = {"%s|%s|hour|" T0, "%s|%s|1m", "esteem:v1:{%s}:%s:hour:last", "esteem:v1:{%s}:%s:1m"};
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
            snprintf(key, sizeof key, forms[form], tenant, scope);
            struct recalled *row = form < 2 ? of_topic(config, key) : of_redis(config, key, form == 2 ? T0 : NULL);
            cr_assert_not_null(row, "%s", key);
            cr_expect_str_eq(row->key.tenant, odd[i], "%s", key);
            cr_expect(row->key.count == 1 && strcmp(row->key.value[0], odd[i]) == 0, "%s", key);
            cr_expect_eq(row->rolling != NULL, form % 2);
            recalled_free(row);
        }
    }
    config_free(config);
}

Test(recall, a_redis_key_is_taken_apart)
{
    struct config *config = config_of(plain);
    struct recalled *running = of_redis(config, "esteem:v1:{acme}:queue=billing:hour", T0), *last = of_redis(config, "esteem:v1:{acme}:all:hour:last", T0);
    cr_assert(running && last);
    cr_expect(running->running && !running->last && running->start_ms == t0);
    cr_expect(!last->running && last->last && last->key.count == 0);
    struct recalled *same = of_topic(config, "acme|queue=billing|hour|" T0);
    cr_expect_eq(running->hash, same->hash, "a row has one name, wherever it was found");
    recalled_free(running);
    recalled_free(last);
    recalled_free(same);
    config_free(config);
}

Test(recall, what_is_not_configured_or_no_name_is_left_alone)
{
    static const char *const topic[] = {"", "acme", "acme|all", "|all|5m", "acme||5m", "acme|queue|5m", "acme|queue=|5m", "acme|planet=mars|5m", "acme|agent=ann|5m",
                                        "acme|queue=a,channel=b|5m", "acme|queue=a,queue=b|5m", "acme|all|15m", "acme|all|day|" T0, "acme|all|hour", "acme|all|5m|" T0,
                                        "acme|all|hour|yesterday", "acme|queue=a b|5m", "acme|queue=a%2|5m", "acme|queue=a%zz|5m", "acme|queue=a,|5m"};
    static const char *const redis[] = {"", "esteem:v1:{acme}:scopes", "esteem:v1:{acme}:changed", "esteem:v1:catalogue", "esteem:v1:{acme:all:5m", "esteem:v1:{}:all:5m",
                                        "esteem:v1:{acme}:all:15m", "other:v1:{acme}:all:5m", "esteem:v1:{acme}::5m", "esteem:v1:{acme}:all:last"};
    struct config *config = config_of(plain);
    for (size_t i = 0; i < sizeof topic / sizeof *topic; i++)
        cr_expect_null(of_topic(config, topic[i]), "%s", topic[i]);
    for (size_t i = 0; i < sizeof redis / sizeof *redis; i++)
        cr_expect_null(of_redis(config, redis[i], NULL), "%s", redis[i]);
    cr_expect_null(of_redis(config, "esteem:v1:{acme}:all:hour", "soon"));
    config_free(config);
}

/* ---- the fold's part ---- */

static struct folding *f;

static void begin(const char *yaml)
{
    f = calloc(1, sizeof *f);
    folding_begin(f, yaml, 1);
    f->watermark_ms = t0;
}

static void end(void)
{
    folding_end(f);
    free(f);
}

TestSuite(recalled, .fini = end);

static void names(const char *key, unsigned record, bool emptied)
{
    struct recalled *row = of_topic(f->config, key);
    cr_assert_not_null(row, "%s", key);
    row->record = (uint16_t)record;
    row->emptied = emptied;
    fold_recall(f->fold, row);
}

static void names_in_redis(const char *key, const char *start)
{
    struct recalled *row = of_redis(f->config, key, start);
    cr_assert_not_null(row, "%s", key);
    row->record = RECALL_REDIS;
    fold_recall(f->fold, row);
}

/* The feed is read to its end, all names are there. */
static void caught_up(void)
{
    f->batch->caught_up = true;
    folding_tick(f, t0 + 20 * MIN);
    while (fold_recall_step(f->fold) > 0)
        ;
    cr_expect(fold_recalled(f->fold));
    folding_tick(f, t0 + 20 * MIN + S);
}

static int64_t offered(const char *window, const char *scope, int64_t start_ms)
{
    const struct shown *row = folding_row(f, window, scope, start_ms);
    return row ? row->offered : -1;
}

Test(recalled, a_row_that_the_feed_does_not_make_is_published_empty)
{
    begin(plain);
    folding_feed(f, "billing", t0, 3);
    names("acme|queue=ghost|hour|" T0, 1, false);
    names("acme|queue=ghost|5m", 1, false);
    caught_up();
    cr_expect_eq(offered("hour", "queue=ghost", t0), 0);
    cr_expect_eq(offered("5m", "queue=ghost", -1), 0);
    cr_expect_eq(offered("1m", "queue=ghost", -1), -1, "of that window no sink has a row");
    cr_expect_eq(offered("hour", "queue=billing", t0), 3);
    cr_expect_eq(fold_counts(f->fold).recall_emptied, 2);
}

Test(recalled, not_before_the_feed_is_caught_up)
{
    begin(plain);
    names("acme|queue=ghost|hour|" T0, 1, false);
    folding_tick(f, t0 + MIN);
    cr_expect_eq(fold_recall_step(f->fold), 0);
    cr_expect_not(fold_recalled(f->fold));
    folding_tick(f, t0 + 2 * MIN);
    cr_expect_null(folding_row(f, "hour", "queue=ghost", t0));
    caught_up();
    cr_expect_eq(offered("hour", "queue=ghost", t0), 0);
}

/* A backlog may take hours, and so may recall: windows change meanwhile. */
Test(recalled, a_reload_of_the_windows_before_it_is_caught_up)
{
    begin(plain);
    names("acme|queue=ghost|5m", 1, false);
    names("acme|queue=ghost|1m", 1, false);
    names("acme|queue=ghost|hour|" T0, 1, false);
    folding_feed(f, "billing", t0, 3);
    folding_tick(f, t0 + MIN);
    struct recalled *late = of_topic(f->config, "acme|queue=phantom|5m"), *gone = of_topic(f->config, "acme|queue=billing|1m");
    late->record = gone->record = 1;
    folding_reload(f, "windows: {rolling: [15m, 5m], calendar: [day]}\nscopes: [[], [queue], [channel, queue]]\n");
    fold_recall(f->fold, late);
    fold_recall(f->fold, gone);
    caught_up();
    cr_expect_eq(offered("5m", "queue=ghost", -1), 0);
    cr_expect_eq(offered("5m", "queue=phantom", -1), 0);
    cr_expect_eq(offered("1m", "queue=ghost", -1), -1, "no such window any more");
    cr_expect_eq(offered("15m", "queue=ghost", -1), -1, "of which no sink has a row");
    cr_expect_eq(offered("hour", "queue=ghost", t0), -1);
    cr_expect_eq(fold_counts(f->fold).recall_emptied, 2);
}

/* By two reloads, before and after recall is done. What was there before them is empty now. */
Test(recalled, a_window_that_goes_and_comes_again_is_told)
{
    begin(plain);
    folding_feed(f, "billing", t0 - 30 * MIN, 3);
    folding_tick(f, t0 + MIN);
    struct recalled *row = of_topic(f->config, "acme|queue=billing|1m");
    row->record = 1;
    folding_reload(f, "windows: {rolling: [5m], calendar: [hour]}\nscopes: [[], [queue]]\n");
    fold_recall(f->fold, row);
    caught_up();
    cr_expect_eq(offered("1m", "queue=billing", -1), -1);
    folding_reload(f, plain);
    folding_tick(f, t0 + 21 * MIN);
    folding_settle(f);
    cr_expect_eq(offered("1m", "queue=billing", -1), 0);
    cr_expect_eq(offered("1m", "all", -1), -1, "of which no sink has a row");
}

Test(recalled, a_row_that_comes_with_the_feed_is_never_empty)
{
    begin(plain);
    names("acme|queue=billing|hour|" T0, 1, false);
    folding_feed(f, "billing", t0, 3);
    folding_tick(f, t0 + MIN);
    caught_up();
    const struct shown *row = folding_row(f, "hour", "queue=billing", t0);
    cr_expect_eq(row->offered, 3);
    cr_expect_eq(fold_counts(f->fold).recall_emptied, 0);
}

/* Three hundred and more, a tenant each. */
Test(recalled, rows_of_every_time_zone_that_there_is)
{
    FILE *list = fopen("/usr/share/zoneinfo/zone1970.tab", "r"), *out;
    char *yaml, line[512], zone[64], key[64];
    size_t length;
    int zones = 0;
    cr_assert_not_null(list, "tzdata has it");
    cr_assert_not_null(out = open_memstream(&yaml, &length));
    fputs("windows: {rolling: [1m], calendar: [quarter_hour]}\nscopes: [[]]\ntenants:\n", out);
    while (fgets(line, sizeof line, list))
        if (*line != '#' && sscanf(line, "%*s %*s %63s", zone) == 1)
            fprintf(out, "  t%d: {timezone: %s}\n", zones++, zone);
    fclose(list);
    fclose(out);
    begin(yaml);
    free(yaml);
    for (int z = 0; z < zones; z++) {
        snprintf(key, sizeof key, "t%d|all|quarter_hour|" T0, z);
        names(key, 1, false);
    }
    caught_up();
    cr_expect_gt(zones, 300);
    cr_expect_eq(fold_counts(f->fold).recall_emptied, (uint64_t)zones);
}

/* A key that the feed has, and of which this life never had the row: the window was empty before it was told. */
Test(recalled, an_empty_rolling_window_of_a_known_key_is_told)
{
    begin(plain);
    folding_feed(f, "billing", t0 - 30 * MIN, 3);
    folding_tick(f, t0 + MIN);
    cr_expect_null(folding_row(f, "1m", "queue=billing", -1));
    names("acme|queue=billing|1m", 1, false);
    caught_up();
    cr_expect_eq(offered("1m", "queue=billing", -1), 0);
}

Test(recalled, a_record_that_was_emptied_needs_nothing)
{
    begin(plain);
    folding_feed(f, "billing", t0, 3);
    names("acme|queue=ghost|hour|" T0, 1, false);
    names("acme|queue=ghost|hour|" T0, 2, false);
    names("acme|queue=ghost|hour|" T0, 1, true);
    names("acme|queue=ghost|hour|" T0, 2, true);
    names("acme|queue=half|hour|" T0, 1, false);
    names("acme|queue=half|hour|" T0, 2, false);
    names("acme|queue=half|hour|" T0, 2, true);
    caught_up();
    cr_expect_null(folding_row(f, "hour", "queue=ghost", t0));
    cr_expect_eq(offered("hour", "queue=half", t0), 0);
}

/* Of 2026-11-13T14:00, beyond correction. */
static void keep_an_hour(void)
{
    begin("windows: {calendar: [hour]}\nscopes: [[queue]]\nretention: {correction: 8d}\n");
    folding_put(f, "billing", NULL, t0 - 9 * DAY, run_of2(MEASURE_offered, 3, MEASURE_closed, 3));
    f->watermark_ms = t0 - 9 * DAY;
    folding_tick(f, t0 - 9 * DAY);
    f->watermark_ms = t0;
    folding_tick(f, t0);
    folding_settle(f);
}

/* A sink is read while the feed runs through weeks: it names rows of this life, of which nothing is left but what the week after needs. */
Test(recalled, a_row_whose_figures_are_kept_for_the_week_after_alone_is_not_told_again)
{
    keep_an_hour();
    cr_assert_eq(offered("hour", "queue=billing", t0 - 9 * DAY), 3);
    folding_tick(f, t0 + MIN);
    uint64_t rows = f->rows;
    names("acme|queue=billing|hour|2026-11-13T14:00:00Z", 1, false);
    caught_up();
    folding_settle(f);
    cr_expect_eq(f->rows, rows);
    cr_expect_eq(offered("hour", "queue=billing", t0 - 9 * DAY), 3);
}

/* Corrections are taken for longer since a reload, but those figures are gone. */
Test(recalled, what_is_kept_stays_alone_where_correction_reaches_further_now)
{
    keep_an_hour();
    folding_reload(f, "windows: {calendar: [hour]}\nscopes: [[queue]]\nretention: {correction: 20d}\n");
    folding_put(f, "billing", NULL, t0 - 9 * DAY, run_of2(MEASURE_offered, 1, MEASURE_closed, 1));
    names("acme|queue=billing|hour|2026-11-13T14:00:00Z", 1, false);
    caught_up();
    folding_settle(f);
    cr_expect_eq(offered("hour", "queue=billing", t0 - 9 * DAY), 3);
    cr_expect_eq(fold_counts(f->fold).recall_emptied, 0);
    cr_expect_eq(fold_counts(f->fold).beyond_correction, 1);
}

Test(recalled, beyond_correction_nothing_is_touched)
{
    begin("windows: {rolling: [1m], calendar: [hour]}\nscopes: [[], [queue]]\nretention: {correction: 8d}\n");
    folding_feed(f, "billing", t0, 3);
    names("acme|queue=ghost|hour|2026-11-14T12:00:00Z", 1, false); /* ends 8 d and an hour before the watermark */
    names("acme|queue=ghost|hour|2026-11-14T13:00:00Z", 1, false); /* ends 8 d before it */
    caught_up();
    cr_expect_null(folding_row(f, "hour", "queue=ghost", t0 - 8 * DAY - 2 * H));
    cr_expect_eq(offered("hour", "queue=ghost", t0 - 8 * DAY - H), 0);
}

/* The feed's beginning is gone from the broker, and there was no checkpoint: what ended before it may be right. */
Test(recalled, what_ended_before_the_known_feed_is_left_alone)
{
    begin(plain);
    folding_feed(f, "billing", t0, 3);
    f->batch->known_ms = t0 - H;
    folding_tick(f, t0 + MIN);
    f->batch->known_ms = t0 - H;
    names("acme|queue=ghost|hour|2026-11-22T12:00:00Z", 1, false); /* ends as the feed begins */
    names("acme|queue=ghost|hour|2026-11-22T13:00:00Z", 1, false);
    caught_up();
    cr_expect_null(folding_row(f, "hour", "queue=ghost", t0 - 2 * H));
    cr_expect_eq(offered("hour", "queue=ghost", t0 - H), 0);
}

Test(recalled, limits_keys_holds_and_what_it_refuses_is_counted)
{
    begin("windows: {rolling: [1m], calendar: [hour]}\nscopes: [[], [queue]]\nlimits: {keys: 1}\n");
    folding_feed(f, "billing", t0, 3);
    names("acme|queue=ghost|hour|" T0, 1, false);
    names("acme|queue=spook|hour|" T0, 1, false);
    names("acme|queue=__other__|hour|" T0, 1, false); /* which no limit refuses */
    caught_up();
    struct fold_counts counts = fold_counts(f->fold);
    cr_expect_eq(counts.recall_emptied, 2);
    cr_expect_eq(counts.recall_refused, 1);
    cr_expect_eq(offered("hour", "queue=__other__", t0), 0);
}

Test(recalled, what_redis_shows_as_running_and_is_over_gives_way_to_the_window_that_runs)
{
    begin(plain);
    folding_feed(f, "billing", t0, 3);
    names_in_redis("esteem:v1:{acme}:queue=ghost:hour", "2026-11-22T12:00:00Z");
    names_in_redis("esteem:v1:{acme}:queue=spook:hour:last", T0); /* which runs, and is not the last one yet */
    caught_up();
    const struct shown *over = folding_row(f, "hour", "queue=ghost", t0 - 2 * H), *now = folding_row(f, "hour", "queue=ghost", t0);
    cr_assert(over && now);
    cr_expect(over->last && over->offered == 0);
    cr_expect(now->running && now->offered == 0);
    const struct shown *before = folding_row(f, "hour", "queue=spook", t0 - H);
    cr_assert_not_null(before);
    cr_expect(before->last && before->offered == 0);
}

/* ---- an emptied row that is lost on its way ---- */

Test(recalled, an_emptied_rolling_row_is_told_again_when_the_sink_has_lost_it)
{
    begin(plain);
    folding_feed(f, "billing", t0, 3);
    folding_tick(f, t0 + S);
    cr_expect_eq(offered("1m", "queue=billing", -1), 3);
    folding_tick(f, t0 + 2 * MIN);
    const struct shown *row = folding_row(f, "1m", "queue=billing", -1);
    cr_expect_eq(row->offered, 0);
    uint64_t times = row->times;
    f->generation++; /* a new connection: what was on its way may be lost */
    folding_tick(f, t0 + 2 * MIN + S);
    cr_expect_gt(folding_row(f, "1m", "queue=billing", -1)->times, times);
}
