/* row_lines: files of rows, one JSON object a line, as compute prints them and as Redis and the topics hold them. Shared by the
 * commands that read rows (diff.c, explain.c). A line is at most ROW_LINE_MAX bytes. Any thread, one at a time. */
#ifndef ESTEEM_ROW_LINES_H
#define ESTEEM_ROW_LINES_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <jv.h>

enum { ROW_LINE_MAX = 16 << 20 };

struct row_lines {
    const char *path;
    FILE *file;
    char *text; /* the present line, without its end */
    size_t length, room;
    int64_t line, offset, next; /* of the present line; where the next one begins */
};

/* Which window of which scope key a row is. Order is that of compute: window, start, tenant, scope. */
struct row_key {
    char *text; /* "tenant NUL scope NUL window NUL tenant": the four below point into it */
    const char *tenant, *scope, *window;
    const char *tenant_key; /* the tenant as keys have it, percent-encoded */
    int64_t start_ms;
    int64_t rank; /* calendar windows by length, then rolling ones by length */
};

/* "-" is standard input. ERR_IO. */
int row_lines_open(struct row_lines *lines, const char *path);
void row_lines_close(struct row_lines *lines);
/* The next line that is not blank: 1, 0 at the end, ERR_IO, ERR_DATA when it is too long. */
int row_lines_next(struct row_lines *lines);
/* The line that begins at `offset`. */
int row_lines_at(struct row_lines *lines, int64_t offset, int64_t line);

/* Parses the whole line. ERR_DATA with "FILE:LINE: what is wrong" when it is no row. */
int row_lines_parse(const struct row_lines *lines, jv *row);
/* Parses what stands before the measures only, which tells what row it is; `tail` is the rest of the line. */
int row_lines_head(const struct row_lines *lines, jv *head, const char **tail);

/* `row` is borrowed. ERR_DATA with what is missing. */
int row_key_of(jv row, struct row_key *key);
void row_key_close(struct row_key *key);
int row_key_compare(const struct row_key *a, const struct row_key *b);

/* A copy of a member; null when there is none. To be freed. */
jv row_member(jv object, const char *name);
/* The same as a text; "" when there is none. */
char *row_text(jv row, const char *name);

#endif
