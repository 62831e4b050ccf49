/* The file source: JSON Lines and CSV. */
#include <criterion/criterion.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "esteem/err.h"
#include "esteem/file.h"

static char folder[] = "/tmp/esteem-file-XXXXXX";
static char path[2][128];

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

/* Writes file `i` (0 or 1) and returns its path. */
static const char *given(int i, const char *name, const char *text, size_t length)
{
    (void)snprintf(path[i], sizeof path[i], "%s/%s", folder, name);
    FILE *file = fopen(path[i], "w");
    cr_assert(file && fwrite(text, 1, length, file) == length && fclose(file) == 0);
    return path[i];
}

/* What was handed on: "offset:text|" of each message. */
struct seen {
    char text[4096];
    size_t used, stop_after, count, longest;
};

static bool look(void *context, const struct message *message)
{
    struct seen *seen = context;
    seen->count++;
    seen->longest = message->length > seen->longest ? message->length : seen->longest;
    if (message->length < 200) {
        seen->used += (size_t)snprintf(seen->text + seen->used, sizeof seen->text - seen->used, "%d/%lld:%.*s|", message->input,
                                       (long long)message->offset, (int)message->length, message->at);
        cr_assert_lt(seen->used, sizeof seen->text);
    }
    return seen->count != seen->stop_after;
}

/* Reads all files to their ends, `most` messages a poll; returns 0 or the error. */
static int read_all(const char *const *paths, int count, int most, struct seen *seen)
{
    struct source source;
    int error = file_source_open(paths, count, &source);
    if (error) {
        return error;
    }
    cr_expect_eq(source.inputs(source.state), count);
    int got = 0;
    for (int ended = 0; ended < count && got >= 0;) {
        got = source.poll(source.state, most, 100, look, seen);
        cr_expect_leq(got, most);
        ended = 0;
        for (int i = 0; i < count; i++) {
            ended += source.at_end(source.state, i);
        }
    }
    source.close(source.state);
    return got < 0 ? got : 0;
}

static void expect(const char *name, const char *text, const char *wanted)
{
    struct seen seen = {.used = 0};
    const char *paths[] = {given(0, name, text, strlen(text))};
    cr_expect_eq(read_all(paths, 1, 1000, &seen), 0, "%s", err_text());
    cr_expect_str_eq(seen.text, wanted);
    struct seen slow = {.used = 0};
    cr_expect_eq(read_all(paths, 1, 1, &slow), 0);
    cr_expect_str_eq(slow.text, wanted);
}

TestSuite(file, .init = folder_make, .fini = folder_remove, .timeout = 60);

Test(file, hands_on_each_line_with_its_number_and_without_its_end)
{
    expect("a.jsonl", "{\"a\":1}\n{\"a\":2}\r\n\n\r\n{\"a\":3}", "0/1:{\"a\":1}|0/2:{\"a\":2}|0/5:{\"a\":3}|");
    expect("a.jsonl", "x\ry\n", "0/1:x\ry|");
    expect("a.jsonl", "", "");
    expect("a.jsonl", "\n\n", "");
}

Test(file, leaves_out_a_byte_order_mark_at_the_start_only)
{
    expect("a.jsonl", "\xef\xbb\xbfx\n\xef\xbb\xbfy\n", "0/1:x|0/2:\xef\xbb\xbfy|");
    expect("a.jsonl", "\xef\xbb", "0/1:\xef\xbb|");
    expect("a.jsonl", "\xef\xbb\xbf", "");
}

static void expect_refused(const char *text, size_t length, const char *what)
{
    struct seen seen = {.used = 0};
    const char *paths[] = {given(0, "a.jsonl", text, length)};
    cr_expect_eq(read_all(paths, 1, 10, &seen), ERR_DATA);
    cr_expect(seen.count == 0 && strstr(err_text(), what), "%s", err_text());
}

/* Each line of such a file would be refused one by one, or lie in a topic for good. */
Test(file, refuses_a_file_that_is_no_text)
{
    expect_refused("\x1f\x8b\x08\x00\n", 5, "a.jsonl: is compressed by gzip; unpack it");
    expect_refused("\x28\xb5\x2f\xfd\n", 5, "compressed by zstd");
    expect_refused("\xfd""7zXZ\n", 6, "compressed by xz");
    expect_refused("PK\x03\x04\n", 5, "export it as CSV");
    expect_refused("\xff\xfe{\0}\0\n\0", 8, "is UTF-16");
    expect_refused("\xfe\xff\0{\0}\0\n", 8, "is UTF-16");
    expect("a.jsonl", "PK\x03", "0/1:PK\x03|");
    expect("a.csv", "PK\nx\n", "0/2:{\"PK\":\"x\"}|");
}

Test(file, makes_an_object_of_strings_of_each_csv_row)
{
    expect("a.csv", "id,n\nx,1\ny,\n", "0/2:{\"id\":\"x\",\"n\":\"1\"}|0/3:{\"id\":\"y\",\"n\":\"\"}|");
    expect("a.CSV", "\xef\xbb\xbfid,n,\r\nx,1,\r\n\r\ny,2,", "0/2:{\"id\":\"x\",\"n\":\"1\"}|0/4:{\"id\":\"y\",\"n\":\"2\"}|");
    expect("a.csv", "id,n\n", "");
    expect("a.csv", "", "");
}

Test(file, reads_quoted_csv_cells_with_commas_quotes_and_line_ends_in_them)
{
    expect("a.csv", "\"a\",\"b \"\"c\"\"\"\n\"1,2\",\"x\r\ny \"\"z\"\"\"\n\"\",7\n",
           "0/2:{\"a\":\"1,2\",\"b \\\"c\\\"\":\"x\\u000d\\u000ay \\\"z\\\"\"}|0/4:{\"a\":\"\",\"b \\\"c\\\"\":\"7\"}|");
    expect("a.csv", "a,b\n5\" pipe,c:\\d\te\n", "0/2:{\"a\":\"5\\\" pipe\",\"b\":\"c:\\\\d\\u0009e\"}|");
}

Test(file, skips_columns_without_a_name_and_lets_the_last_of_two_equal_names_stand)
{
    expect("a.csv", "a,,b,a\n1,2,3,4\n", "0/2:{\"b\":\"3\",\"a\":\"4\"}|");
    expect("a.csv", ",\n1,2\n", "0/2:{}|");
}

Test(file, leaves_out_the_last_columns_of_a_short_row_and_empty_cells_beyond_the_last)
{
    expect("a.csv", "a,b,c\n1,2\n1,2,3,,\n", "0/2:{\"a\":\"1\",\"b\":\"2\"}|0/3:{\"a\":\"1\",\"b\":\"2\",\"c\":\"3\"}|");
}

Test(file, hands_on_a_csv_row_that_cannot_be_read_as_it_stands)
{
    expect("a.csv", "a,b\n1\r,2\n3,4\r\n", "0/2:1\r,2|0/3:{\"a\":\"3\",\"b\":\"4\"}|");
    expect("a.csv", "a,b\n1,2,3\n\"x\"y,2\n4,5\n\"open,\n6,7", "0/2:1,2,3|0/3:\"x\"y,2|0/4:{\"a\":\"4\",\"b\":\"5\"}|0/5:\"open,\n6,7|");
}

Test(file, refuses_a_header_that_is_no_csv)
{
    struct seen seen = {.used = 0};
    const char *paths[] = {given(0, "a.csv", "a,\"b\"c\n1,2\n", 11)};
    cr_expect_eq(read_all(paths, 1, 10, &seen), ERR_DATA);
    cr_expect(strstr(err_text(), "a.csv:1: a header that is no CSV: a quote does not close, or something follows it; mend the quotes of column 2") != NULL,
              "%s", err_text());
}

Test(file, joins_a_line_that_is_longer_than_its_buffer)
{
    enum { LENGTH = 3 << 20 };
    char *text = malloc(LENGTH);
    memset(text, 'x', LENGTH);
    text[0] = text[LENGTH - 3] = '\n';
    struct seen seen = {.used = 0};
    const char *paths[] = {given(0, "a.jsonl", text, LENGTH)};
    cr_expect_eq(read_all(paths, 1, 10, &seen), 0);
    cr_expect_eq(seen.longest, (size_t)LENGTH - 4);
    cr_expect_str_eq(seen.text, "0/3:xx|");
    free(text);
}

/* Row i of the next test. */
static bool compare(void *context, const struct message *message)
{
    int *i = context;
    char wanted[128];
    int length = snprintf(wanted, sizeof wanted, "{\"id\":\"%d\",\"te\\\"xt\":\"a \\\"b\\\"\\u000a%.*s,\"}", *i, *i % 17,
                          "0123456789abcdefg");
    cr_assert_eq(message->offset, 2 + 2 * *i);
    cr_assert_eq(message->length, (size_t)length);
    cr_assert_eq(memcmp(message->at, wanted, message->length), 0);
    (*i)++;
    return true;
}

Test(file, joins_rows_across_every_place_where_a_buffer_can_end)
{
    enum { ROWS = 60000 }; /* some 7 buffers, of every alignment */
    char *text;
    size_t length;
    FILE *file = open_memstream(&text, &length);
    fputs("id,\"te\"\"xt\"\n", file);
    for (int i = 0; i < ROWS; i++) {
        fprintf(file, "%d,\"a \"\"b\"\"\n%.*s,\"\r\n", i, i % 17, "0123456789abcdefg");
    }
    fclose(file);
    const char *paths[] = {given(0, "a.csv", text, length)};
    free(text);
    struct source source;
    int rows = 0;
    cr_assert_eq(file_source_open(paths, 1, &source), 0);
    while (!source.at_end(source.state, 0)) {
        cr_assert_geq(source.poll(source.state, 10, 0, compare, &rows), 0);
    }
    cr_expect_eq(rows, (int)ROWS);
    source.close(source.state);
}

Test(file, hands_on_the_start_of_a_line_that_no_limit_admits_and_reads_over_the_rest)
{
    size_t length = FILE_LINE_MAX + (size_t)1000;
    char *text = malloc(length);
    memset(text, 'x', length);
    text[length - 2] = '\n';
    struct seen seen = {.used = 0};
    const char *paths[] = {given(0, "a.jsonl", text, length)};
    free(text);
    cr_expect_eq(read_all(paths, 1, 10, &seen), 0);
    cr_expect_eq(seen.count, 2);
    cr_expect_eq(seen.longest, (size_t)FILE_LINE_MAX);
    cr_expect_str_eq(seen.text, "0/2:x|");
}

Test(file, reads_several_files_side_by_side)
{
    char text[FILE_TURN * 2 + 3];
    for (size_t i = 0; i < sizeof text; i++) {
        text[i] = i % 2 ? '\n' : 'x';
    }
    text[sizeof text - 1] = 'y';
    struct seen seen = {.used = 0};
    const char *paths[] = {given(0, "a.jsonl", text, sizeof text), given(1, "b.jsonl", "b\n", 2)};
    cr_expect_eq(read_all(paths, 2, 10000, &seen), 0);
    cr_expect_eq(seen.count, (size_t)FILE_TURN + 3);
    cr_expect(strstr(seen.text, "0/256:x|1/1:b|0/257:x|0/258:y|") != NULL);
}

Test(file, stops_where_the_reader_has_had_enough_and_goes_on_there)
{
    struct seen seen = {.stop_after = 2};
    struct source source;
    const char *paths[] = {given(0, "a.jsonl", "1\n2\n3\n", 6)};
    cr_assert_eq(file_source_open(paths, 1, &source), 0);
    cr_expect_eq(source.poll(source.state, 10, 0, look, &seen), 2);
    source.pause(source.state, true);
    cr_expect_eq(source.poll(source.state, 10, 0, look, &seen), 0);
    source.pause(source.state, false);
    cr_expect_not(source.at_end(source.state, 0));
    cr_expect_eq(source.poll(source.state, 10, 0, look, &seen), 1);
    cr_expect(source.at_end(source.state, 0));
    cr_expect_str_eq(seen.text, "0/1:1|0/2:2|0/3:3|");
    source.close(source.state);
}

Test(file, waits_for_a_pipe_no_longer_than_it_may)
{
    struct seen seen = {.used = 0};
    struct source source;
    (void)snprintf(path[0], sizeof path[0], "%s/pipe", folder);
    cr_assert_eq(mkfifo(path[0], 0600), 0);
    int writer = open(path[0], O_RDWR);
    const char *paths[] = {path[0]};
    cr_assert_eq(file_source_open(paths, 1, &source), 0);
    cr_expect_eq(source.poll(source.state, 10, 10, look, &seen), 0);
    cr_expect_not(source.at_end(source.state, 0));
    cr_assert_eq(write(writer, "1\n2", 3), 3);
    cr_expect_eq(source.poll(source.state, 10, 10, look, &seen), 1);
    cr_assert_eq(write(writer, "3\n", 2), 2);
    cr_expect_eq(source.poll(source.state, 10, 10, look, &seen), 1);
    close(writer);
    cr_expect_eq(source.poll(source.state, 10, 10, look, &seen), 0);
    cr_expect(source.at_end(source.state, 0));
    cr_expect_str_eq(seen.text, "0/1:1|0/2:23|");
    source.close(source.state);
}

Test(file, names_the_file_that_cannot_be_opened)
{
    struct source source;
    const char *paths[] = {given(0, "a.jsonl", "", 0), "/no/such.jsonl"};
    cr_expect_eq(file_source_open(paths, 2, &source), ERR_IO);
    cr_expect_str_eq(err_text(), "/no/such.jsonl: No such file or directory");
    const char *folders[] = {folder};
    cr_expect_eq(file_source_open(folders, 1, &source), ERR_IO);
}
