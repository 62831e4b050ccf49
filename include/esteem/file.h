/* file: JSON Lines and CSV files, or standard input, as a source. Input i is file i; a message's offset is the number of the
 * line it begins in, from 1.
 *
 * JSON Lines: each line is a message, as it stands, without its \n or \r\n. Empty lines are skipped.
 * CSV (a name that ends in .csv; RFC 4180, comma): the first row names the columns, each further row becomes a JSON object of
 * strings. A column without a name is skipped, of two with one name the last stands, a short row lacks its last columns. A row
 * that cannot be read (a cell too many that is not empty, or no CSV: csv.h) is handed on as it stands, so that the engine
 * refuses it with its original bytes. A byte order mark at a file's start is no part of it.
 *
 * Files are read side by side, FILE_TURN lines of each in turn, so that the watermark moves with all of them; the order is the same
 * in every run, unless pipes are among them. Each open file holds a buffer as long as its longest line; of a line beyond
 * FILE_LINE_MAX, which no limits.message admits, the first FILE_LINE_MAX bytes are handed on and the rest is read over. */
#ifndef ESTEEM_FILE_H
#define ESTEEM_FILE_H

#include "esteem/source.h"

enum { FILE_TURN = 256, FILE_LINE_MAX = (128 << 20) + 1 /* bytes; the highest limits.message, and one */ };

/* Opens all of them; "-" is standard input, as JSON Lines. Keeps no pointer. ERR_IO names the file that cannot be opened. */
int file_source_open(const char *const *paths, int count, struct source *source);

/* Why the first file that could not be read to its end was not, with its name; NULL: all that ended were whole. It lives as long as the source. */
const char *file_source_failure(const struct source *source);

/* How far it is: bytes handed out, of how many; `*total` is 0 when a pipe is among the files. */
void file_source_progress(const struct source *source, int64_t *done, int64_t *total);

#endif
