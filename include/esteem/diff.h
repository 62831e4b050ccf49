/* diff: two files of rows, measure by measure: what another threshold, another version or a replay has changed. Memory: two rows
 * when both files are in compute's order, 40 bytes a row when they are not. Any thread. */
#ifndef ESTEEM_DIFF_H
#define ESTEEM_DIFF_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

struct diff_counts {
    int64_t compared, differing, only_old, only_new;
    int64_t replaced; /* rows with a later one of the same key behind them */
    bool in_order;    /* both files were: they were merged as they were read */
};

struct diff_setup {
    const char *path[2]; /* old, new */
    const char *name[2]; /* what they are called where rows are in one alone */
    bool json;
    bool by_size;        /* rows that change most come first, then those that only one has; else in the files' order */
    FILE *out;
};

/* Writes each row that differs, then a summary. ERR_IO, ERR_DATA. */
int diff_rows(const struct diff_setup *setup, struct diff_counts *counts);
/* In the files' order and by their names; `json`: JSON Lines. ERR_IO, ERR_DATA. */
int diff_files(const char *old_path, const char *new_path, bool json, FILE *out, struct diff_counts *counts);

/* `esteem compute --diff`: 0 equal, 1 they differ, 2 a file cannot be read or is not one of rows. */
int diff_main(const char *old_path, const char *new_path, bool json);

#endif
