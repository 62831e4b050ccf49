/* The row: its block, its key's text, the privacy rule, its numbers and its JSON. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#include "esteem/row.h"
#include "support/settings.h"

#define START_MS INT64_C(1795356000000) /* 2026-11-22T14:00:00Z */
#define HOUR_MS INT64_C(3600000)

struct figure {
    uint32_t id;
    int64_t value;
};

static struct row *row_with(const struct row *head, const struct figure *figures, int count)
{
    struct tally_run run;
    tally_run_begin(&run);
    for (int i = 0; i < count; i++)
        tally_run_put(&run, figures[i].id, figures[i].value);
    tally_run_end(&run);
    return row_new(head, run.bytes, run.length);
}
#define ROW_WITH(head, ...) \
    row_with(head, (const struct figure[]){__VA_ARGS__}, (int)(sizeof((const struct figure[]){__VA_ARGS__}) / sizeof(struct figure)))

/* The hour of SEMANTICS 6. */
static struct row hour(void)
{
    return (struct row){.start_ms = START_MS, .end_ms = START_MS + HOUR_MS, .revision = 2, .final = true, .window = CALENDAR_HOUR,
                        .window_name = "hour", .tenant = "acme", .scope = "queue=billing", .value_count = 1,
                        .value_dimension = {DIMENSION_queue}, .value = {"billing"}};
}

static const char *json_of(const struct row *row, const struct config *config, unsigned families, bool histograms)
{
    static struct row_view view;
    static char *text;
    static size_t room;
    row_open(&view, row, config);
    size_t length = row_json(&view, families, histograms, &text, &room);
    cr_assert_eq(length, strlen(text));
    return text;
}

/* What stands between the first `from` and the next `to` behind it. */
static const char *between(const char *text, const char *from, const char *to)
{
    static char part[2048];
    const char *start = strstr(text, from), *end = start ? strstr(start + strlen(from), to) : NULL;
    cr_assert(start && end, "%s has no %s ... %s", text, from, to);
    (void)snprintf(part, sizeof part, "%.*s", (int)(end - start) - (int)strlen(from), start + strlen(from));
    return part;
}

/* ---- the block ---- */

Test(row, is_one_block_with_copies_of_its_strings)
{
    char name[] = "5m", tenant[] = "acme", scope[] = "queue=billing", value[] = "billing";
    uint8_t runs[] = {1, 2, 0};
    struct row head = {.window_name = name, .tenant = tenant, .scope = scope, .value_count = 1, .value = {value}, .rolling = true};
    struct row *row = row_new(&head, runs, sizeof runs);
    memset(name, 'x', 2), memset(tenant, 'x', 4), memset(scope, 'x', 13), memset(value, 'x', 7), memset(runs, 9, 3);
    cr_expect_str_eq(row->window_name, "5m");
    cr_expect_str_eq(row->tenant, "acme");
    cr_expect_str_eq(row->scope, "queue=billing");
    cr_expect_str_eq(row->value[0], "billing");
    cr_expect_eq(row->runs_length, 3);
    cr_expect_arr_eq(row->runs, ((const uint8_t[]){1, 2, 0}), 3);
    row_free(row);
}

Test(row, of_the_whole_tenant_has_no_values)
{
    struct row head = {.window_name = "5m", .tenant = "acme", .scope = "all"};
    struct row *row = row_new(&head, NULL, 0);
    cr_expect_null(row->value[0]);
    cr_expect_eq(row->runs_length, 0);
    row_free(row);
}

/* ---- keys ---- */

static const char *encoded(const char *value)
{
    static char text[256];
    cr_assert_eq(row_encode(value, text, sizeof text), strlen(text));
    return text;
}

Test(row, encodes_what_would_break_a_key)
{
    cr_expect_str_eq(encoded("billing"), "billing");
    cr_expect_str_eq(encoded("a:b=c,d{e}f%g h"), "a%3Ab%3Dc%2Cd%7Be%7Df%25g%20h");
    cr_expect_str_eq(encoded("tab\there\x7f"), "tab%09here%7F");
    cr_expect_str_eq(encoded("f\xc3\xbcr"), "f\xc3\xbcr", "UTF-8 stays");
    cr_expect_str_eq(encoded("nul\xc0\x80here"), "nul%00here", "modified UTF-8");
}

Test(row, encodes_no_further_than_there_is_room)
{
    char text[6];
    cr_expect_eq(row_encode("ab:cd", text, sizeof text), 5);
    cr_expect_str_eq(text, "ab%3A");
    cr_expect_eq(row_encode("abc:d", text, sizeof text), 3, "no half of an escape");
    cr_expect_str_eq(text, "abc");
}

Test(row, names_its_scope_in_the_order_of_dimensions)
{
    struct config *config = config_of("dimensions: [tier]");
    const uint8_t dimension[] = {DIMENSION_channel, DIMENSION_queue, DIMENSION_BUILTIN};
    const char *value[] = {"chat", "billing, north", "gold"};
    char text[ROW_SCOPE_MAX];
    cr_expect_eq(row_scope_text(config, dimension, value, 3, text, sizeof text), strlen(text));
    cr_expect_str_eq(text, "channel=chat,queue=billing%2C%20north,tier=gold");
    cr_expect_eq(row_scope_text(config, NULL, NULL, 0, text, sizeof text), 3);
    cr_expect_str_eq(text, "all");
    config_free(config);
}

/* ---- numbers ---- */

static const char *number(double value)
{
    static char text[ROW_NUMBER_MAX];
    cr_assert_eq(row_number(value, text), strlen(text));
    return text;
}

Test(row, prints_at_most_six_decimals_and_no_trailing_zeros)
{
    cr_expect_str_eq(number(83.0 + 1.0 / 3), "83.333333");
    cr_expect_str_eq(number(231000), "231000");
    cr_expect_str_eq(number(4.25), "4.25");
    cr_expect_str_eq(number(99.9999999), "100");
    cr_expect_str_eq(number(0.000001), "0.000001");
    cr_expect_str_eq(number(-12.5), "-12.5");
}

Test(row, never_prints_minus_zero_or_an_exponent)
{
    cr_expect_str_eq(number(-0.0), "0");
    cr_expect_str_eq(number(-0.0000001), "0");
    cr_expect_str_eq(number(-0.0000005), "0", "just below a half in binary");
    cr_expect_str_eq(number(1e-7), "0");
    cr_expect_str_eq(number(9.2e20), "920000000000000000000");
}

/* The short way through integers and printf's long one agree, close to halves too. */
Test(row, prints_what_printf_would)
{
    srand48(1);
    for (int i = 0; i < 300000; i++) {
        double value = (double)(lrand48() % 100000000) / (double)(1 + lrand48() % 4000) * (i % 2 ? -1 : 1);
        if (i % 3 == 0)
            value = (double)(lrand48() % 1000000) / 128 / 1000;
        char expected[64];
        int length = snprintf(expected, sizeof expected, "%.6f", value);
        while (expected[length - 1] == '0')
            length--;
        expected[length - (expected[length - 1] == '.')] = '\0';
        cr_assert_str_eq(number(value), strcmp(expected, "-0") ? expected : "0");
    }
}

/* ---- JSON ---- */

Test(row, has_the_json_of_the_specification)
{
    struct config *config = config_of("{}");
    strcpy(config->id, "5f1c9a02");
    struct row head = hour();
    struct row *row = ROW_WITH(&head, {MEASURE_handled, 40}, {MEASURE_talk_ms, 9120000}, {MEASURE_wrap_ms, 120000},
                               {MEASURE_csat_n, 12}, {MEASURE_csat_sum, 51}, {MEASURE_csat_top, 10});
    cr_expect_str_eq(json_of(row, config, FAMILY_ALL, true),
                     "{\"v\":1,\"tenant\":\"acme\",\"scope\":{\"queue\":\"billing\"},\"window\":\"hour\","
                     "\"start\":\"2026-11-22T14:00:00Z\",\"end\":\"2026-11-22T15:00:00Z\",\"revision\":2,\"final\":true,"
                     "\"partial\":false,\"config\":\"5f1c9a02\",\"measures\":{\"handled\":40,\"talk_ms\":9120000,"
                     "\"wrap_ms\":120000,\"csat_n\":12,\"csat_sum\":51,\"csat_top\":10},\"metrics\":{"
                     "\"csat\":{\"value\":83.333333,\"n\":12,\"low\":55.196914,\"high\":95.303486},"
                     "\"csat_mean\":{\"value\":4.25,\"n\":12},\"aht_ms\":{\"value\":231000,\"n\":40},"
                     "\"talk_avg_ms\":{\"value\":228000,\"n\":40},\"hold_avg_ms\":{\"value\":0,\"n\":40},"
                     "\"wrap_avg_ms\":{\"value\":3000,\"n\":40},\"hold_rate\":{\"value\":0,\"n\":40}}}");
    row_free(row);
    config_free(config);
}

Test(row, says_small_margin_and_inexact_only_where_they_are)
{
    struct config *config = config_of("{}");
    struct row head = hour();
    head.inexact = true;
    struct row *row = ROW_WITH(&head, {MEASURE_nps_n, 8}, {MEASURE_nps_promoters, 8});
    const char *text = json_of(row, config, FAMILY_ALL, false);
    cr_expect(strstr(text, "\"partial\":false,\"inexact\":true,\"config\":"));
    cr_expect(strstr(text, "\"nps\":{\"value\":100,\"n\":8,\"moe\":0,\"small\":true}"));
    row_free(row);
    config_free(config);
}

Test(row, of_the_whole_tenant_with_nothing_in_it_is_whole_json)
{
    struct config *config = config_of("{}");
    struct row head = {.window_name = "5m", .tenant = "acme", .scope = "all", .rolling = true, .start_ms = 5, .end_ms = 300005};
    struct row *row = row_new(&head, NULL, 0);
    const char *text = json_of(row, config, FAMILY_ALL, true);
    cr_expect(strstr(text, "\"scope\":{},\"window\":\"5m\",\"start\":\"1970-01-01T00:00:00.005Z\","));
    cr_expect(strstr(text, "\"measures\":{},\"metrics\":{}}"));
    row_free(row);
    config_free(config);
}

Test(row, escapes_strings)
{
    struct config *config = config_of("{}");
    struct row head = hour();
    head.tenant = "a\"b\\c\n\t\x01\xc3\xbc\xc0\x80z";
    struct row *row = row_new(&head, NULL, 0);
    cr_expect_str_eq(between(json_of(row, config, FAMILY_ALL, false), "\"tenant\":", ",\"scope\""),
                     "\"a\\\"b\\\\c\\n\\t\\u0001\xc3\xbc\\u0000z\"");
    row_free(row);
    config_free(config);
}

Test(row, shows_negative_integers_as_they_are)
{
    struct config *config = config_of("{}");
    struct row head = hour();
    struct row *row = ROW_WITH(&head, {MEASURE_uses, -3}, {MEASURE_use_cost, -INT64_C(9000000000000000000)});
    cr_expect_str_eq(between(json_of(row, config, FAMILY_ALL, false), "\"measures\":", ",\"metrics\""),
                     "{\"uses\":-3,\"use_cost\":-9000000000000000000}");
    row_free(row);
    config_free(config);
}

Test(row, gives_histograms_by_lower_bound_in_ascending_order)
{
    struct config *config = config_of("{}");
    struct row head = hour();
    struct row *row = ROW_WITH(&head, {MEASURE_handled, 3}, {histogram_id(HISTOGRAM_wait, 7), 2},
                               {histogram_id(HISTOGRAM_handle, histogram_bucket(129)), 1},
                               {histogram_id(HISTOGRAM_handle, histogram_bucket(240000)), 2});
    cr_expect_str_eq(between(json_of(row, config, FAMILY_ALL, true), "\"histograms\":", ",\"metrics\""),
                     "{\"wait\":{\"7\":2},\"handle\":{\"128\":1,\"237568\":2}}");
    cr_expect_str_eq(between(json_of(row, config, 1 << FAMILY_AHT, true), "\"histograms\":", ",\"metrics\""),
                     "{\"handle\":{\"128\":1,\"237568\":2}}");
    cr_expect_null(strstr(json_of(row, config, 1 << FAMILY_CSAT, true), "histograms"));
    cr_expect_null(strstr(json_of(row, config, FAMILY_ALL, false), "histograms"));
    row_free(row);
    config_free(config);
}

Test(row, of_a_family_has_that_familys_measures_and_metrics)
{
    static struct row_view view;
    struct config *config = config_of("{}");
    struct row head = hour();
    struct row *row = ROW_WITH(&head, {MEASURE_handled, 40}, {MEASURE_csat_n, 12}, {MEASURE_csat_top, 10});
    const char *text = json_of(row, config, 1 << FAMILY_CSAT, false);
    cr_expect(strstr(text, "\"measures\":{\"csat_n\":12,\"csat_top\":10},\"metrics\":{\"csat\":"));
    cr_expect_null(strstr(text, "aht_ms"));
    row_open(&view, row, config);
    cr_expect(row_has(&view, 1 << FAMILY_CSAT));
    cr_expect(row_has(&view, 1 << FAMILY_NPS | 1 << FAMILY_AHT));
    cr_expect_not(row_has(&view, 1 << FAMILY_NPS));
    row_free(row);
    config_free(config);
}

Test(row, keeps_nothing_of_the_row_that_was_open_before)
{
    struct config *config = config_of("{}");
    struct row head = hour();
    struct row *first = ROW_WITH(&head, {MEASURE_csat_n, 12}, {histogram_id(HISTOGRAM_handle, 9), 1});
    struct row *second = ROW_WITH(&head, {MEASURE_handled, 40});
    (void)json_of(first, config, FAMILY_ALL, true);
    const char *text = json_of(second, config, FAMILY_ALL, true);
    cr_expect_null(strstr(text, "csat"));
    cr_expect_null(strstr(text, "histograms"));
    row_free(first);
    row_free(second);
    config_free(config);
}

/* ---- privacy ---- */

/* Whether a row with so many employees' answers shows them. */
static bool shows_employees(struct row head, int64_t answers)
{
    static struct row_view view;
    struct config *config = config_of("privacy: {min_employees: 5}");
    struct row *row = ROW_WITH(&head, {MEASURE_esat_n, answers}, {MEASURE_esat_sum, answers * 4},
                               {MEASURE_employee_survey_answered, answers}, {MEASURE_employee_survey_sent, 9});
    row_open(&view, row, config);
    bool shown = strstr(json_of(row, config, FAMILY_ALL, false), "esat_n") != NULL;
    cr_expect_eq(view.employees, shown);
    cr_expect_eq(view.measure[MEASURE_esat_sum], shown ? answers * 4 : 0);
    cr_expect_eq(view.dense.value[MEASURE_esat_sum], shown ? answers * 4 : 0);
    cr_expect_eq(view.measure[MEASURE_employee_survey_sent], 9, "not withheld");
    row_free(row);
    config_free(config);
    return shown;
}

Test(row, shows_employees_figures_in_final_rows_of_a_day_or_longer_alone)
{
    struct row day = hour(), running, rolling;
    cr_expect_not(shows_employees(day, 50), "an hour is too short");
    day.window = CALENDAR_DAY;
    cr_expect(shows_employees(day, 50));
    running = day;
    running.final = false;
    cr_expect_not(shows_employees(running, 50), "a running day would tell the next answer");
    rolling = day;
    rolling.rolling = true;
    cr_expect_not(shows_employees(rolling, 50));
    day.window = CALENDAR_MONTH;
    cr_expect(shows_employees(day, 50));
}

Test(row, shows_employees_figures_from_min_employees_answers_on)
{
    struct row day = hour();
    day.window = CALENDAR_DAY;
    cr_expect_not(shows_employees(day, 4));
    cr_expect(shows_employees(day, 5));
}
