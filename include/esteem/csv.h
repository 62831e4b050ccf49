/* csv: records of CSV as RFC 4180 has them, for feeds (source/csv_rows.c) and the roster (control/config_roster.c). A record ends at
 * its \n or \r\n. A cell that begins with a quote ends at the quote that closes it; commas, line ends and doubled quotes may stand in
 * it. In any other cell a quote is a byte like others (5" pipe). No CSV: a quote that does not close, something that follows it, a \r
 * outside quotes that ends no line. Such a record ends where it would without the fault, at a \n outside quotes.
 *
 * Own code, because Debian's libcsv 3.0.3 hands out cells alone: it knows no line numbers and no record as it stood, its strict mode
 * ends at the first fault and refuses 5" pipe, and splitting a feed takes it longer than this and the JSON that is made of it.
 *
 * Pure: keeps no text, allocates nothing; whoever holds the text bounds a record. Any thread. */
#ifndef ESTEEM_CSV_H
#define ESTEEM_CSV_H

#include <stdbool.h>
#include <stdint.h>

/* A record while it is read; all zero before the first. */
struct csv {
    enum { CSV_NEW, CSV_CELL, CSV_BARE, CSV_QUOTED, CSV_QUOTE /* in a quoted cell, behind a quote */, CSV_RETURN } state;
    int cells;         /* of the record so far */
    int fault_cell;    /* the first that is no CSV, from 1 */
    const char *fault; /* what is wrong with it and the fix, to be followed by "of cell 2"; NULL: nothing */
    int64_t line;      /* line ends before the byte that comes next */
};

/* Reads on from `*at` to the record's end, and leaves `*at` there: at its \n, or at `end` when that is the `last` of the text.
 * False: the record goes on behind `end`; the next call has what follows. */
bool csv_record(struct csv *csv, const char **at, const char *end, bool last);

/* Writes the next of csv->cells cells of a record without fault to `to`, and returns what is behind it; `*at` goes from the record's
 * begin to its `end`. As a JSON string a record's cells take at most CSV_JSON_MAX bytes, for \u0000 and the quotes. Else it is a text
 * ended by a zero byte, and `to` may be `*at` or before it: the last zero byte may be at `end` then. */
#define CSV_JSON_MAX(bytes, cells) ((size_t)(bytes) * 6 + (size_t)(cells) * 2)
char *csv_cell(const char **at, const char *end, bool json, char *to);

#endif
