#include "csv_rows.h"

#include <stdlib.h>
#include <string.h>

#include "esteem/err.h"

enum { COLUMN_MAX = 4096, EMPTY = 2 /* bytes of "" */ };

int csv_columns_read(struct csv_columns *columns, const struct csv *csv, struct text record, const char *path, int64_t line)
{
    if (csv->fault)
        return err_set(ERR_DATA, "%s:%lld: a header that is no CSV: %s of column %d", path, (long long)line, csv->fault, csv->fault_cell);
    if (csv->cells > COLUMN_MAX)
        return err_set(ERR_DATA, "%s:%lld: more than %d columns", path, (long long)line, COLUMN_MAX);
    struct text *column = columns->column = calloc((size_t)csv->cells, sizeof *column);
    char *to = columns->names = malloc(CSV_JSON_MAX(record.length, csv->cells) + (size_t)csv->cells);
    if (!column || !to)
        return err_set(ERR_MEMORY, "%s:%lld: no memory for the header", path, (long long)line);
    const char *at = record.at, *end = at + record.length;
    for (int i = 0; i < csv->cells; i++) {
        char *name = to;
        to = csv_cell(&at, end, true, to);
        if (to == name + EMPTY)
            continue;
        *to++ = ':';
        column[i] = (struct text){.at = name, .length = (uint32_t)(to - name)};
        for (int j = 0; j < i; j++) /* of two columns with one name the last stands */
            if (column[j].length == column[i].length && memcmp(column[j].at, name, column[i].length) == 0)
                column[j].length = 0;
    }
    columns->names_bytes = (size_t)(to - columns->names);
    columns->count = csv->cells;
    return 0;
}

bool csv_columns_row(const struct csv_columns *columns, const struct csv *csv, struct text *record, char **room, size_t *space)
{
    size_t most = columns->names_bytes + CSV_JSON_MAX(record->length, csv->cells) + (size_t)csv->cells + sizeof "{}";
    if (csv->fault)
        return false;
    char *row = *space < most ? realloc(*room, most) : *room;
    if (!row)
        return false;
    *space = *space < most ? most : *space;
    char *to = *room = row;
    *to++ = '{';
    const char *at = record->at, *end = at + record->length;
    for (int i = 0; i < csv->cells; i++) {
        bool named = i < columns->count && columns->column[i].length > 0;
        char *start = to, *value;
        if (to > row + 1)
            *to++ = ',';
        value = named ? mempcpy(to, columns->column[i].at, columns->column[i].length) : to;
        to = csv_cell(&at, end, true, value);
        if (i >= columns->count && to > value + EMPTY)
            return false;
        if (!named) /* a column without a name, or an empty cell beyond the last */
            to = start;
    }
    *to++ = '}';
    *record = (struct text){.at = row, .length = (uint32_t)(to - row)};
    return true;
}

void csv_columns_close(struct csv_columns *columns)
{
    free(columns->column);
    free(columns->names);
}
