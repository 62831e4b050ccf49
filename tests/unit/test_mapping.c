/* Mappings: jq programs that make native events of foreign ones. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "esteem/err.h"
#include "esteem/event.h"
#include "esteem/mapping.h"

static char folder[] = "/tmp/esteem-mapping-XXXXXX";

static void program(const char *name, const char *text)
{
    char path[128];
    (void)snprintf(path, sizeof path, "%s/%s.jq", folder, name);
    FILE *file = fopen(path, "w");
    cr_assert(file && fputs(text, file) >= 0 && fclose(file) == 0);
}

static void folder_make(void)
{
    cr_assert(mkdtemp(folder) != NULL);
}

static void folder_remove(void)
{
    char command[64];
    (void)snprintf(command, sizeof command, "rm -r %s", folder);
    cr_assert_eq(system(command), 0);
}

/* Outputs, one a line. */
static void collect(void *context, const char *json, size_t length)
{
    char *out = context;
    cr_assert_eq(strlen(json), length);
    strcat(strcat(out, json), "\n");
}

static int run(struct mapping *mapping, const char *json, char *out)
{
    out[0] = '\0';
    return mapping_run(mapping, json, strlen(json), collect, out);
}

TestSuite(mapping, .init = folder_make, .fini = folder_remove, .timeout = 20);

Test(mapping, makes_any_number_of_events_from_one_message)
{
    char out[256];
    program("many", ".calls[] | {id: .n, type: \"survey.sent\"}");
    struct mapping *mapping = mapping_new(folder, "many");
    cr_assert(mapping, "%s", err_text());

    cr_expect_eq(run(mapping, "{\"calls\":[{\"n\":\"a\"},{\"n\":\"b\"}]}", out), 2);
    cr_expect_str_eq(out, "{\"id\":\"a\",\"type\":\"survey.sent\"}\n{\"id\":\"b\",\"type\":\"survey.sent\"}\n");
    cr_expect_eq(run(mapping, "{\"calls\":[]}", out), 0);
    cr_expect_str_eq(out, "");
    mapping_free(mapping);
}

Test(mapping, hands_on_nothing_of_a_message_that_fails_midway_and_goes_on_with_the_next)
{
    char out[256];
    program("fails", ".[] | if . > 2 then error(\"more than two\") else . end");
    struct mapping *mapping = mapping_new(folder, "fails");

    cr_expect_eq(run(mapping, "[1,2,3]", out), ERR_MAPPING);
    cr_expect_str_eq(err_text(), "fails: more than two");
    cr_expect_str_eq(out, "");
    cr_expect_eq(run(mapping, "[1,2]", out), 2);
    cr_expect_str_eq(out, "1\n2\n");
    mapping_free(mapping);
}

/* It goes into a header, which a pipe cuts at tabs and lines (the runbook's way back from the dead letters). */
Test(mapping, what_a_program_says_is_one_cell_of_one_line_also_where_it_quotes_the_event)
{
    char out[256];
    program("quotes", "error(\"so: \\(.a)\")");
    struct mapping *mapping = mapping_new(folder, "quotes");

    cr_expect_eq(run(mapping, "{\"a\":\"x\\ty\\r\\nz\\u007f\"}", out), ERR_MAPPING);
    cr_expect_str_eq(err_text(), "quotes: so: x y  z ");
    mapping_free(mapping);
}

Test(mapping, refuses_a_message_that_is_not_one_json_value_without_quoting_it)
{
    char out[256];
    program("same", ".");
    struct mapping *mapping = mapping_new(folder, "same");
    static const char *const bad[] = {"", "  ", "{\"a\":", "secret", "1 2", "{} x", "\"\xff\"", "\"\xed\xa0\x80\"", "\"\xc0\xaf\"",
                                      "\"\xf4\x90\x80\x80\"", "\"\xe2\x82"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        cr_expect_eq(run(mapping, bad[i], out), ERR_MAPPING, "%s", bad[i]);
        cr_expect_str_eq(out, "");
        cr_expect_null(strstr(err_text(), "secret"));
    }
    cr_expect_eq(run(mapping, " {\"a\":\"\xc3\xa9\xf0\x9f\x98\x80\"} ", out), 1);
    cr_expect_str_eq(out, "{\"a\":\"\xc3\xa9\xf0\x9f\x98\x80\"}\n");
    mapping_free(mapping);
}

Test(mapping, keeps_integers_up_to_two_to_the_53rd_without_exponent)
{
    char out[256];
    program("same", ".");
    struct mapping *mapping = mapping_new(folder, "same");
    cr_expect_eq(run(mapping, "[9007199254740992,1000000000000000,1795349358123]", out), 1);
    cr_expect_str_eq(out, "[9007199254740992,1000000000000000,1795349358123]\n");
    mapping_free(mapping);
}

static void count(void *context, const char *json, size_t length)
{
    (void)json;
    (void)length;
    ++*(int *)context;
}

Test(mapping, stops_after_ten_thousand_events_of_one_message)
{
    int seen = 0;
    program("range", "range(.)");
    struct mapping *mapping = mapping_new(folder, "range");
    cr_expect_eq(mapping_run(mapping, "10000", 5, count, &seen), 10000);
    cr_expect_eq(seen, 10000);
    cr_expect_eq(mapping_run(mapping, "10001", 5, count, &seen), ERR_MAPPING);
    cr_expect_str_eq(err_text(), "range: more than 10000 events from one message");
    cr_expect_eq(mapping_run(mapping, "1e300", 5, count, &seen), ERR_MAPPING);
    cr_expect_eq(seen, 10000);
    mapping_free(mapping);
}

Test(mapping, stops_after_sixteen_mebibytes_of_one_message)
{
    int seen = 0;
    program("wide", "range(.) | [\"x\" * 1048000]");
    struct mapping *mapping = mapping_new(folder, "wide");
    cr_expect_eq(mapping_run(mapping, "16", 2, count, &seen), 16);
    cr_expect_eq(mapping_run(mapping, "17", 2, count, &seen), ERR_MAPPING);
    cr_expect_str_eq(err_text(), "wide: more than 16 MiB of events from one message");
    mapping_free(mapping);
}

Test(mapping, has_bounds_that_are_told_where_dead_letters_are_explained)
{
    static const char *const whys[] = {
#define REFUSAL(name, why) [REFUSED_##name] = why,
#include "esteem/events.def"
    };
    char bounds[64];
    snprintf(bounds, sizeof bounds, "%d,%03d events or %d MiB", MAPPING_OUTPUT_MAX / 1000, MAPPING_OUTPUT_MAX % 1000, MAPPING_BYTES_MAX >> 20);
    cr_expect(strstr(whys[REFUSED_mapping_failed], bounds), "%s", bounds);
}

Test(mapping, takes_halt_for_a_failure_and_is_whole_afterwards)
{
    char out[256];
    program("halts", "if . == 1 then halt elif . == 2 then halt_error else . end");
    struct mapping *mapping = mapping_new(folder, "halts");
    cr_expect_eq(run(mapping, "1", out), ERR_MAPPING);
    cr_expect_eq(run(mapping, "2", out), ERR_MAPPING);
    cr_expect_eq(run(mapping, "3", out), 1);
    mapping_free(mapping);
}

Test(mapping, includes_files_that_lie_beside_it)
{
    char out[256];
    program("common", "def twice: [., .];");
    program("uses", "include \"common\"; twice");
    struct mapping *mapping = mapping_new(folder, "uses");
    cr_assert(mapping, "%s", err_text());
    cr_expect_eq(run(mapping, "7", out), 1);
    cr_expect_str_eq(out, "[7,7]\n");
    mapping_free(mapping);
}

Test(mapping, names_the_file_and_says_what_jq_says_when_it_does_not_compile)
{
    program("bad", "1,\n2 +* 3");
    cr_expect_null(mapping_new(folder, "bad"));
    cr_expect_eq(err_code(), ERR_MAPPING);
    cr_expect(strstr(err_text(), "/bad.jq: jq: error: syntax error") != NULL, "%s", err_text());
    cr_expect(strstr(err_text(), "line 2") != NULL, "%s", err_text());
    program("unknown", "nosuch(1)");
    cr_expect_null(mapping_new(folder, "unknown"));
    cr_expect(strstr(err_text(), "nosuch/1 is not defined") != NULL, "%s", err_text());
}

Test(mapping, refuses_a_name_that_leaves_the_folder_and_a_file_that_is_not_there)
{
    cr_expect_null(mapping_new(folder, "../etc/x"));
    cr_expect_null(mapping_new(folder, ""));
    cr_expect_null(mapping_new(folder, "absent"));
    cr_expect_eq(err_code(), ERR_MAPPING);
    cr_expect(strstr(err_text(), "/absent.jq: No such file") != NULL, "%s", err_text());
}
