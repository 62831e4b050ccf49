/* CSV: records, cells, lines, faults. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#include "esteem/csv.h"

enum { TEXT_MAX = 512 };

/* All records of a text that comes in two pieces: "1[a|b] " with the line of each, "2!3 " where cell 3 is no CSV. */
static const char *read_all(const char *bytes, size_t length, size_t first_piece, bool json)
{
    static char told[TEXT_MAX * 16];
    char *to = told, text[TEXT_MAX + 2];
    struct csv csv = {0};
    memcpy(text, bytes, length);
    const char *end = text + length, *piece = text + first_piece;
    for (const char *begin = text, *at = text; begin < end; begin = at = at + 1) {
        long long line = csv.line + 1;
        if (at >= piece || !csv_record(&csv, &at, piece, piece == end))
            cr_assert(csv_record(&csv, &at, end, true));
        cr_assert(at == end || *at == '\n');
        if (csv.fault) {
            cr_assert(csv.fault_cell >= 1 && csv.fault_cell <= csv.cells);
            to += sprintf(to, "%lld!%d ", line, csv.fault_cell);
            continue;
        }
        to += sprintf(to, "%lld[", line);
        const char *cell = begin;
        for (int i = 0; i < csv.cells; i++) {
            to = csv_cell(&cell, at, json, to);
            to -= !json;
            *to++ = i + 1 < csv.cells ? '|' : ']';
        }
        cr_assert_geq(cell, at); /* all of it */
        *to++ = ' ';
    }
    *to = '\0';
    return told;
}

static void expect(const char *text, const char *wanted)
{
    for (size_t piece = 0; piece <= strlen(text); piece++) {
        const char *told = read_all(text, strlen(text), piece, false);
        cr_expect_str_eq(told, wanted, "%s in two pieces, %zu bytes first: %s", text, piece, told);
    }
}

Test(csv, commas_divide_cells_and_line_ends_records)
{
    expect("", "");
    expect("a,b\nc,d\r\n,\n\ne", "1[a|b] 2[c|d] 3[|] 4[] 5[e] ");
    expect("a,", "1[a|] ");
    expect(" a , b\n", "1[ a | b] "); /* spaces are the cell's */
}

Test(csv, in_quotes_commas_line_ends_and_doubled_quotes_are_text)
{
    expect("\"a,b\",\"\"\nc\n", "1[a,b|] 2[c] ");
    expect("\"a\r\nb\n\",c\r\nd", "1[a\r\nb\n|c] 4[d] ");
    expect("\"a \"\"b\"\"\",\"\"\"\"\n", "1[a \"b\"|\"] ");
}

Test(csv, a_quote_in_a_cell_that_begins_without_one_is_a_byte)
{
    expect("5\" pipe,a\"\",b\n", "1[5\" pipe|a\"\"|b] ");
}

Test(csv, a_fault_is_told_with_its_line_and_cell_and_the_next_record_is_read)
{
    expect("a,\"b\"c\nd\n", "1!2 2[d] ");
    expect("a,\"b\" ,\"c\"d\ne\n", "1!2 2[e] ");
    expect("a\nb,\"c\nd,e\n", "1[a] 2!2 ");
    expect("a,\"\"\"", "1!2 ");
    expect("\"a\"b\"\n\"c\"\n", "1!1 2[c] ");
    expect("a\rb,c\nd\n", "1!1 2[d] ");
    expect("a,\"b\"\r,c\nd\n", "1!2 2[d] ");
    expect("a\r\r\nb\r", "1!1 2!1 ");
}

Test(csv, a_fault_says_what_is_wrong_and_the_fix)
{
    struct csv csv = {0};
    const char *at = "a,\"b\"c\rd", *end = at + strlen(at);
    cr_assert(csv_record(&csv, &at, end, true));
    cr_expect_str_eq(csv.fault, "a quote does not close, or something follows it; mend the quotes"); /* the first one */
    at = "a\rb";
    cr_assert(csv_record(&csv, &at, at + 3, true));
    cr_expect_str_eq(csv.fault, "a \\r outside quotes ends no line; end lines by \\n or \\r\\n, or mend the quotes");
    at = "a\n";
    cr_assert(csv_record(&csv, &at, at + 2, true));
    cr_expect_null(csv.fault);
}

Test(csv, a_cell_as_json_has_its_quotes_backslashes_and_control_bytes_escaped)
{
    static const char text[] = "a,\"say \"\"hi\"\"\n\",c:\\d\t\x1f\0\xc3\xa4,\n";
    cr_expect_str_eq(read_all(text, sizeof text - 1, 0, true),
                     "1[\"a\"|\"say \\\"hi\\\"\\u000a\"|\"c:\\\\d\\u0009\\u001f\\u0000\xc3\xa4\"|\"\"] ");
}

Test(csv, a_text_may_be_written_where_its_record_is)
{
    char text[] = "\"a\"\"\",bc,\"\"";
    struct csv csv = {0};
    const char *end = text + strlen(text), *at = text, *cell = text;
    cr_assert(csv_record(&csv, &at, end, true));
    char *to = text;
    for (int i = 0; i < csv.cells; i++)
        to = csv_cell(&cell, end, false, to);
    cr_expect(memcmp(text, "a\"\0bc\0", sizeof "a\"\0bc\0") == 0);
}

static uint32_t random_next(uint64_t *state)
{
    *state = *state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (uint32_t)(*state >> 33);
}

Test(csv, bytes_of_any_kind_give_the_same_records_in_pieces_as_in_one)
{
    uint64_t state = 7;
    for (int i = 0; i < 20000; i++) {
        char text[24], whole[TEXT_MAX];
        size_t length = 1 + random_next(&state) % sizeof text;
        for (size_t at = 0; at < length; at++)
            text[at] = "ab,,\"\"\"\r\n\n"[random_next(&state) % 10];
        (void)snprintf(whole, sizeof whole, "%s", read_all(text, length, length, false));
        cr_assert_str_eq(read_all(text, length, random_next(&state) % length, false), whole);
    }
}

Test(csv, what_is_written_by_the_rules_is_read_back)
{
    uint64_t state = 9;
    for (int i = 0; i < 20000; i++) {
        char text[TEXT_MAX], wanted[TEXT_MAX], *to = text, *want = wanted + sprintf(wanted, "1[");
        for (int cells = 1 + (int)(random_next(&state) % 4); cells > 0; cells--) {
            *to++ = '"';
            for (uint32_t length = random_next(&state) % 9; length > 0; length--) {
                *want = "x\",\r\n\\"[random_next(&state) % 6];
                if (*want == '"')
                    *to++ = '"';
                *to++ = *want++;
            }
            to = mempcpy(to, cells > 1 ? "\"," : "\"", cells > 1 ? 2 : 1);
            *want++ = cells > 1 ? '|' : ']';
        }
        *want++ = ' ';
        *want = '\0';
        cr_assert_str_eq(read_all(text, (size_t)(to - text), random_next(&state) % (size_t)(to - text), false), wanted);
    }
}
