/* Rows held against each other: what counts as a difference, files in order and in none, what is no row. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "esteem/diff.h"
#include "esteem/err.h"

#define ROW(scope, window, start, rest) \
    "{\"v\":1,\"tenant\":\"acme\",\"scope\":" scope ",\"window\":\"" window "\",\"start\":\"2026-11-22T" start ":00Z\"," rest "}\n"
#define REST(revision, n, top, value) \
    "\"end\":\"2026-11-22T15:00:00Z\",\"revision\":" revision ",\"final\":true,\"partial\":false,\"config\":\"0000000" revision \
    "\",\"measures\":{\"csat_n\":" n ",\"csat_top\":" top "},\"metrics\":{\"csat\":{\"value\":" value ",\"n\":" n "}}"
#define ALL(start, rest) ROW("{}", "hour", start, rest)
#define BILLING(start, rest) ROW("{\"queue\":\"billing\"}", "hour", start, rest)

static char old_path[64], new_path[64];

static void put(char *path, const char *name, const char *text)
{
    (void)sprintf(path, "/tmp/esteem-diff-%s-%d", name, (int)getpid());
    FILE *file = fopen(path, "w");
    cr_assert(file);
    fputs(text, file);
    fclose(file);
}

/* What is told, to be freed; `result` may be NULL. */
static char *told(const char *old, const char *new, bool json, struct diff_counts *counts, int *result)
{
    char *text = NULL;
    size_t size;
    put(old_path, "old", old);
    put(new_path, "new", new);
    FILE *out = open_memstream(&text, &size);
    int code = diff_files(old_path, new_path, json, out, counts);
    fclose(out);
    unlink(old_path);
    unlink(new_path);
    if (result)
        *result = code;
    else
        cr_assert_eq(code, 0, "%s", err_text());
    return text;
}

static void expect_line(const char *text, const char *line)
{
    char whole[256];
    (void)snprintf(whole, sizeof whole, "%s\n", line);
    cr_expect(strstr(text, whole), "no line \"%s\" in:\n%s", line, text);
}

Test(diff, tells_each_measure_and_metric_of_a_row_that_differs)
{
    struct diff_counts counts;
    char *text = told(ALL("14:00", REST("1", "4", "3", "75")) BILLING("14:00", REST("1", "2", "1", "50")),
                      ALL("14:00", REST("1", "5", "2", "40")) BILLING("14:00", REST("1", "2", "1", "50")), false, &counts, NULL);
    cr_expect(counts.compared == 2 && counts.differing == 1 && counts.only_old == 0 && counts.only_new == 0);
    expect_line(text, "acme all hour 2026-11-22T14:00:00Z");
    expect_line(text, "  csat_n 4 -> 5 (+1)");
    expect_line(text, "  csat_top 3 -> 2 (-1)");
    expect_line(text, "  csat 75 -> 40 (-35)");
    expect_line(text, "  csat.n 4 -> 5 (+1)");
    cr_expect_not(strstr(text, "billing"));
    free(text);
}

Test(diff, revision_and_config_are_left_out)
{
    struct diff_counts counts;
    char *text = told(ALL("14:00", REST("1", "4", "3", "75")), ALL("14:00", REST("2", "4", "3", "75")), false, &counts, NULL);
    cr_expect(counts.compared == 1 && counts.differing == 0);
    free(text);
}

Test(diff, a_row_that_is_final_in_one_only_differs)
{
    struct diff_counts counts;
    char *text = told(ALL("14:00", "\"end\":\"x\",\"final\":false,\"measures\":{},\"metrics\":{}"),
                      ALL("14:00", "\"end\":\"x\",\"final\":true,\"measures\":{},\"metrics\":{}"), false, &counts, NULL);
    cr_expect_eq(counts.differing, 1);
    expect_line(text, "  final false -> true");
    free(text);
}

Test(diff, a_measure_that_is_not_named_is_zero_and_a_metric_none)
{
    struct diff_counts counts;
    char *text = told(ALL("14:00", "\"measures\":{\"holds\":0},\"metrics\":{}"),
                      ALL("14:00", "\"measures\":{\"held\":2},\"metrics\":{\"nps\":{\"value\":-5.5,\"n\":2}}"), false, &counts, NULL);
    expect_line(text, "  held 0 -> 2 (+2)");
    expect_line(text, "  nps none -> -5.5");
    cr_expect_not(strstr(text, "holds"));
    free(text);
}

Test(diff, rows_of_one_file_only_are_told_with_the_file)
{
    struct diff_counts counts;
    char *text = told(ALL("13:00", REST("1", "4", "3", "75")) ALL("14:00", REST("1", "4", "3", "75")),
                      ALL("14:00", REST("1", "4", "3", "75")) ALL("15:00", REST("1", "4", "3", "75")), false, &counts, NULL);
    char line[128];
    (void)snprintf(line, sizeof line, "acme all hour 2026-11-22T13:00:00Z: only in %s", old_path);
    expect_line(text, line);
    (void)snprintf(line, sizeof line, "acme all hour 2026-11-22T15:00:00Z: only in %s", new_path);
    expect_line(text, line);
    cr_expect(counts.compared == 1 && counts.only_old == 1 && counts.only_new == 1 && counts.differing == 0);
    free(text);
}

#define HISTOGRAM(value) "\"measures\":{\"handled\":1},\"histograms\":{\"handle\":{\"" value "\":1}},\"metrics\":{}"
#define EMPTY "\"final\":true,\"measures\":{},\"metrics\":{}"

/* Redis' rows have no histograms unless publish.histograms says so, and a row that lost its last figure lies on there, empty. */
Test(diff, rows_of_redis_equal_those_of_compute)
{
    struct diff_counts counts;
    char *text = told(ALL("14:00", HISTOGRAM("512")), ALL("13:00", EMPTY) ALL("14:00", "\"measures\":{\"handled\":1},\"metrics\":{}"), false, &counts, NULL);
    cr_expect(counts.compared == 1 && counts.differing == 0 && counts.only_old == 0 && counts.only_new == 0, "%s", text);
    free(text);
    text = told(ALL("14:00", HISTOGRAM("512")), ALL("14:00", HISTOGRAM("528")), false, &counts, NULL);
    expect_line(text, "  histogram handle: 2 buckets differ");
    free(text);
    text = told(BILLING("14:00", REST("1", "4", "3", "75")) ALL("13:00", EMPTY), BILLING("14:00", REST("1", "4", "3", "75")), false, &counts, NULL);
    cr_expect(counts.compared == 1 && counts.only_old == 0, "%s", text);
    free(text);
}

#define SECOND ROW("{}", "day", "00:00", REST("1", "9", "9", "100"))

/* Compute's order is hours before days; a file that begins with the day is in none. */
Test(diff, files_in_no_order_give_the_same_as_files_in_order)
{
    struct diff_counts counts, again;
    char *sorted = told(ALL("14:00", REST("1", "4", "3", "75")) BILLING("14:00", REST("1", "2", "1", "50")) SECOND,
                        ALL("14:00", REST("1", "5", "2", "40")) SECOND, false, &counts, NULL);
    char *unsorted = told(ALL("14:00", REST("1", "4", "3", "75")) BILLING("14:00", REST("1", "2", "1", "50")) SECOND,
                          SECOND ALL("14:00", REST("1", "5", "2", "40")), false, &again, NULL);
    cr_expect_str_eq(sorted, unsorted);
    cr_expect(counts.compared == 2 && counts.differing == 1 && counts.only_old == 1);
    cr_expect(counts.in_order && !again.in_order);
    cr_expect(again.compared == 2 && again.differing == 1 && again.only_old == 1 && again.only_new == 0);
    free(sorted);
    free(unsorted);
}

Test(diff, of_rows_of_one_key_the_last_one_counts)
{
    struct diff_counts counts;
    char *text = told(ALL("14:00", REST("1", "4", "3", "75")), ALL("14:00", REST("1", "1", "1", "100")) ALL("14:00", REST("2", "4", "3", "75")),
                      false, &counts, NULL);
    cr_expect(counts.compared == 1 && counts.differing == 0 && counts.replaced == 1);
    free(text);
}

Test(diff, rolling_windows_are_in_order_by_length)
{
    struct diff_counts counts;
    char *text = told(SECOND ROW("{}", "90s", "14:00", "\"measures\":{\"held\":1}") ROW("{}", "5m", "14:00", "\"measures\":{}"),
                      SECOND ROW("{}", "5m", "14:00", "\"measures\":{}"), false, &counts, NULL);
    cr_expect(counts.compared == 2 && counts.only_old == 1 && counts.only_new == 0);
    cr_expect(counts.in_order);
    free(text);
}

Test(diff, rows_may_be_spelled_with_spaces)
{
    struct diff_counts counts;
    char *text = told(ALL("14:00", "\"measures\": {\"held\": 1}"), ALL("14:00", "\"measures\": {\"held\": 2}"), false, &counts, NULL);
    expect_line(text, "  held 1 -> 2 (+1)");
    free(text);
}

Test(diff, json_has_a_line_a_row_and_a_summary)
{
    struct diff_counts counts;
    char *text = told(ALL("14:00", REST("1", "4", "3", "75")), ALL("14:00", REST("1", "4", "2", "50")), true, &counts, NULL);
    expect_line(text, "{\"tenant\":\"acme\",\"scope\":{},\"window\":\"hour\",\"start\":\"2026-11-22T14:00:00Z\",\"measures\":{\"csat_top\":{\"difference\":-1,"
                      "\"old\":3,\"new\":2}},\"metrics\":{\"csat\":{\"value\":{\"difference\":-25,\"old\":75,\"new\":50}}}}");
    expect_line(text, "{\"summary\":{\"compared\":1,\"differing\":1,\"only_old\":0,\"only_new\":0,\"replaced\":0,\"rows_by_name\":{\"csat_top\":1,\"csat\":1}}}");
    free(text);
}

static void expect_refused(const char *line, const char *why)
{
    struct diff_counts counts;
    char text[2048];
    int result;
    (void)snprintf(text, sizeof text, "%s\n%s", ALL("14:00", "\"measures\":{}"), line);
    free(told(ALL("14:00", "\"measures\":{}"), text, false, &counts, &result));
    cr_expect_eq(result, ERR_DATA);
    cr_expect(strstr(err_text(), ":3: no row"), "%s", err_text()); /* the blank line counts */
    cr_expect(strstr(err_text(), why), "%s", err_text());
}

Test(diff, what_is_no_row_is_told_with_its_line)
{
    expect_refused("{\"tenant\":", "");
    expect_refused("[1]", "not an object");
    expect_refused("{}", "tenant");
    expect_refused("{\"tenant\":\"a\",\"scope\":\"all\"}", "scope");
    expect_refused("{\"tenant\":\"a\",\"scope\":{\"queue\":1}}", "scope");
    expect_refused("{\"tenant\":\"a\",\"scope\":{}}", "window");
    expect_refused("{\"tenant\":\"a\",\"scope\":{},\"window\":\"hour\",\"start\":\"noon\",\"measures\":{}}", "start");
}

Test(diff, a_file_that_is_not_there_is_told)
{
    struct diff_counts counts;
    cr_expect_eq(diff_files("/nowhere/old", "/nowhere/new", false, stdout, &counts), ERR_IO);
    cr_expect(strstr(err_text(), "/nowhere/old"));
}
