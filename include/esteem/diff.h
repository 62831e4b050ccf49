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

/* Writes each row that differs, then a summary; `json`: JSON Lines. ERR_IO, ERR_DATA. */
int diff_files(const char *old_path, const char *new_path, bool json, FILE *out, struct diff_counts *counts);

/* `esteem compute --diff`: 0 equal, 1 they differ, 2 a file cannot be read or is not one of rows. */
int diff_main(const char *old_path, const char *new_path, bool json);

#endif
