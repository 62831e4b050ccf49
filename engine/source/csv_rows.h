/* csv_rows: records of a CSV feed as JSON objects of strings; the first record names the columns. Runs on: the shard's thread. */
#ifndef ESTEEM_CSV_ROWS_H
#define ESTEEM_CSV_ROWS_H

#include "esteem/csv.h"
#include "esteem/event.h"

struct csv_columns {
    int count;           /* 0: the header is still to come */
    struct text *column; /* `"name":` as JSON; length 0: skipped */
    char *names;         /* what they point into */
    size_t names_bytes;
};

/* Reads the header, which `csv` has just read and `record` is. ERR_* names the file and the line. */
int csv_columns_read(struct csv_columns *columns, const struct csv *csv, struct text record, const char *path, int64_t line);
/* Makes of `*record` a JSON object, in `*room` of `*space` bytes, which grows. False: it is no row of this header (or the memory is at
 * its end), and stays as it is. */
bool csv_columns_row(const struct csv_columns *columns, const struct csv *csv, struct text *record, char **room, size_t *space);
void csv_columns_close(struct csv_columns *columns);

#endif
