/* file: bytes → lines or rows → messages.
 *
 *   fd ──read──> buffer [begin .. scanned .. end) ──record_next──> a line or a row ──row_convert (CSV)──> message
 *
 * A record that does not end inside the buffer is completed by the next read; the scan goes on where it stopped, with the state
 * it had. Everything is read with read(2), so that pipes, regular files and standard input are one case, and a file that another
 * process cuts short is no fault. */
#include "esteem/file.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

#include "esteem/err.h"

enum {
    BUFFER_MIN = 256 << 10, /* bytes */
    BUFFER_SPARE = 64,      /* readable bytes behind a message: a decoder may load whole words */
    COLUMN_MAX = 4096,
};

enum scan { SCAN_CELL, SCAN_PLAIN, SCAN_QUOTED, SCAN_QUOTE /* in a quoted cell, after a quote */ };

/* A growing text. */
struct bytes {
    char *at;
    size_t used, space;
};

struct file {
    char *path;
    int fd; /* -1: read to its end */
    bool csv, regular, begun, skipping;
    char *buffer;
    size_t space, begin, scanned, end; /* offsets into buffer */
    enum scan scan;
    int64_t size, read;        /* bytes in all (regular files), bytes read */
    int64_t line, record_line; /* lines before `scanned`; the line in which the record begins */
    int column_count;          /* 0: the header is still to come */
    struct bytes *column;      /* `"name":` as JSON; used == 0: skipped */
};

struct file_source {
    int count, turn; /* turn: the file that is next */
    bool paused;
    char *failure;    /* of the first file that could not be read to its end; NULL: none */
    struct bytes row; /* the CSV row as JSON */
    struct pollfd *wait;
    struct file file[];
};

enum { RECORD_NONE, RECORD_FOUND, RECORD_END };

static bool bytes_reserve(struct bytes *bytes, size_t more)
{
    if (bytes->space - bytes->used >= more) {
        return true;
    }
    size_t space = (bytes->used + more) * 2 + 256;
    char *grown = realloc(bytes->at, space);
    if (!grown) {
        return false;
    }
    bytes->at = grown;
    bytes->space = space;
    return true;
}

static void file_end(struct file *file)
{
    if (file->fd > STDIN_FILENO) {
        close(file->fd);
    }
    file->fd = -1;
}

/* Makes room for at least one more byte behind `end`: moves what is left to the front, then grows. */
static bool buffer_room(struct file *file)
{
    if (file->begin > 0 && (file->begin == file->end || file->end + BUFFER_SPARE >= file->space)) {
        memmove(file->buffer, file->buffer + file->begin, file->end - file->begin);
        file->end -= file->begin;
        file->scanned -= file->begin;
        file->begin = 0;
    }
    if (file->end + BUFFER_SPARE < file->space) {
        return true;
    }
    size_t space = file->space ? file->space * 2 : BUFFER_MIN;
    char *grown = realloc(file->buffer, space);
    if (!grown) {
        return false;
    }
    file->buffer = grown;
    file->space = space;
    return true;
}

/* How files begin that are no text of UTF-8: each of their lines would be refused. No `what`: it is skipped. */
static const struct mark {
    const char *at;
    size_t length;
    const char *what;
} marks[] = {
    {"\xef\xbb\xbf", 3, NULL}, /* a byte order mark belongs to the file, not to its first line */
    {"\x1f\x8b", 2, "is compressed by gzip; unpack it: zcat it into a pipe and read -, standard input"},
    {"\x28\xb5\x2f\xfd", 4, "is compressed by zstd; unpack it: zstdcat it into a pipe and read -, standard input"},
    {"\xfd""7zXZ", 5, "is compressed by xz; unpack it: xzcat it into a pipe and read -, standard input"},
    {"PK\x03\x04", 4, "is a zip file, as spreadsheets are; export it as CSV, or unpack it"},
    {"\xff\xfe", 2, "is UTF-16; make it UTF-8: iconv -f UTF-16 -t UTF-8"},
    {"\xfe\xff", 2, "is UTF-16; make it UTF-8: iconv -f UTF-16 -t UTF-8"},
};

/* Looks at the file's first bytes, until it is settled how it begins. Returns 0 or ERR_DATA. */
static int mark_read(struct file *file)
{
    size_t length = file->end - file->begin;
    file->begun = true;
    for (size_t i = 0; i < sizeof marks / sizeof *marks; i++) {
        const struct mark *mark = &marks[i];
        if (memcmp(file->buffer + file->begin, mark->at, length < mark->length ? length : mark->length) != 0) {
            continue;
        }
        if (length < mark->length) {
            file->begun = false;
        } else if (mark->what) {
            return err_set(ERR_DATA, "%s: %s", file->path, mark->what);
        } else {
            file->begin += mark->length;
            file->scanned = file->begin;
        }
    }
    return 0;
}

/* Reads what is there without waiting. > 0: more bytes; 0: none now, or the file's end (fd is -1 then); < 0: an error. */
static int buffer_fill(struct file *file)
{
    if (!file->regular) {
        struct pollfd ready = {.fd = file->fd, .events = POLLIN};
        if (poll(&ready, 1, 0) == 0) {
            return 0;
        }
    }
    if (!buffer_room(file)) {
        return err_set(ERR_MEMORY, "%s:%lld: no memory for a line of %zu bytes", file->path, (long long)file->record_line,
                       file->space);
    }
    ssize_t got = read(file->fd, file->buffer + file->end, file->space - BUFFER_SPARE - file->end);
    if (got < 0) {
        return errno == EINTR || errno == EAGAIN ? 0 : err_set(ERR_IO, "%s: %s", file->path, strerror(errno));
    }
    if (got == 0) {
        file_end(file);
        file->begun = true;
        return 0;
    }
    file->end += (size_t)got;
    file->read += got;
    int result = file->begun ? 0 : mark_read(file);
    return result < 0 ? result : 1;
}

/* The end of a row: the first \n outside quotes from `scanned` on, or NULL. */
static char *row_end(struct file *file)
{
    enum scan scan = file->scan;
    char *at = file->buffer + file->scanned, *end = file->buffer + file->end;
    for (; at < end; at++) {
        file->line += *at == '\n';
        if (*at == '\n' && scan != SCAN_QUOTED) {
            scan = SCAN_CELL;
            break;
        }
        switch (scan) {
        case SCAN_CELL:
            scan = *at == '"' ? SCAN_QUOTED : *at == ',' ? SCAN_CELL : SCAN_PLAIN;
            break;
        case SCAN_PLAIN:
            scan = *at == ',' ? SCAN_CELL : SCAN_PLAIN;
            break;
        case SCAN_QUOTED:
            scan = *at == '"' ? SCAN_QUOTE : SCAN_QUOTED;
            break;
        case SCAN_QUOTE:
            scan = *at == '"' ? SCAN_QUOTED : *at == ',' ? SCAN_CELL : SCAN_PLAIN;
            break;
        }
    }
    file->scan = scan;
    file->scanned = (size_t)(at - file->buffer);
    return at < end ? at : NULL;
}

static char *line_end(struct file *file)
{
    char *at = memchr(file->buffer + file->scanned, '\n', file->end - file->scanned);
    file->scanned = at ? (size_t)(at - file->buffer) : file->end;
    file->line += at != NULL;
    return at;
}

/* What is left when a file ends without a last \n. */
static int record_last(struct file *file, struct text *record)
{
    bool any = file->end > file->begin && !file->skipping;
    *record = (struct text){.at = file->buffer + file->begin, .length = any ? (uint32_t)(file->end - file->begin) : 0};
    file->begin = file->end = file->scanned = 0;
    return any ? RECORD_FOUND : RECORD_END;
}

/* The next line or row, without its end; it lives until the next call. An error of the file is returned as ERR_*. */
static int record_next(struct file *file, struct text *record)
{
    for (;;) {
        char *end = NULL;
        if (file->begin == file->scanned) {
            file->record_line = file->line + 1;
        }
        if (file->begun && file->scanned < file->end) {
            end = file->csv && !file->skipping ? row_end(file) : line_end(file);
        }
        size_t length = file->scanned - file->begin;
        if (file->skipping || length >= FILE_LINE_MAX) {
            bool first = !file->skipping;
            *record = (struct text){.at = file->buffer + file->begin, .length = FILE_LINE_MAX};
            file->skipping = !end;
            file->begin = file->scanned += end != NULL;
            file->scan = SCAN_CELL;
            if (first) {
                return RECORD_FOUND;
            }
        } else if (end) {
            *record = (struct text){.at = file->buffer + file->begin, .length = (uint32_t)length};
            file->begin = file->scanned = file->scanned + 1;
            return RECORD_FOUND;
        }
        if (file->scanned == file->end || !file->begun) {
            if (file->fd < 0) {
                return record_last(file, record);
            }
            int got = buffer_fill(file);
            if (got < 0 || (got == 0 && file->fd >= 0)) {
                return got < 0 ? got : RECORD_NONE;
            }
        }
    }
}

/* Appends one byte inside a JSON string; room for 6 bytes is there. */
static inline void byte_escape(struct bytes *out, char byte)
{
    static const char hex[] = "0123456789abcdef";
    if (byte == '"' || byte == '\\') {
        out->at[out->used++] = '\\';
    } else if ((unsigned char)byte < 0x20) {
        memcpy(out->at + out->used, "\\u00", 4);
        out->at[out->used + 4] = hex[byte >> 4];
        out->at[out->used + 5] = hex[byte & 15];
        out->used += 6;
        return;
    }
    out->at[out->used++] = byte;
}

/* Reads the cell at `at` and appends it to `out` as a JSON string. Returns what follows the cell (a comma or `end`), or NULL when it
 * is none. `*empty` tells whether there was anything in it. */
static const char *cell_read(const char *at, const char *end, struct bytes *out, bool *empty)
{
    out->at[out->used++] = '"';
    size_t start = out->used;
    if (at < end && *at == '"') {
        for (at++;; at++) {
            if (at == end) {
                return NULL;
            }
            if (*at == '"' && (++at == end || *at != '"')) {
                break;
            }
            byte_escape(out, *at);
        }
        if (at < end && *at != ',') {
            return NULL;
        }
    } else {
        for (; at < end && *at != ','; at++) {
            byte_escape(out, *at);
        }
    }
    *empty = out->used == start;
    out->at[out->used++] = '"';
    return at;
}

/* Keeps the name in `cell` as the next column. Of two columns with one name the last stands, so an equal one is emptied. */
static bool column_add(struct file *file, const struct bytes *cell)
{
    struct bytes *column = &file->column[file->column_count];
    if (!bytes_reserve(column, cell->used + 1)) {
        return false;
    }
    memcpy(column->at, cell->at, cell->used);
    column->at[cell->used] = ':';
    column->used = cell->used + 1;
    for (int i = 0; i < file->column_count; i++) {
        if (file->column[i].used == column->used && memcmp(file->column[i].at, column->at, column->used) == 0) {
            file->column[i].used = 0;
        }
    }
    file->column_count++;
    return true;
}

/* The header: one `"name":` a column. Returns 0 or ERR_*. */
static int header_read(struct file *file, struct text row, struct bytes *cell)
{
    const char *at = row.at, *end = at + row.length;
    file->column = calloc(COLUMN_MAX, sizeof *file->column);
    if (!file->column) {
        return err_set(ERR_MEMORY, "%s:1: no memory for the header", file->path);
    }
    for (bool more = true; more; more = at++ < end) {
        bool empty;
        cell->used = 0;
        if (file->column_count == COLUMN_MAX) {
            return err_set(ERR_DATA, "%s:1: more than %d columns", file->path, COLUMN_MAX);
        }
        if (!bytes_reserve(cell, (size_t)(end - at) * 6 + 3)) {
            return err_set(ERR_MEMORY, "%s:1: no memory for the header", file->path);
        }
        at = cell_read(at, end, cell, &empty);
        if (!at) {
            return err_set(ERR_DATA, "%s:1: a header that is no CSV: a quote does not close, or something follows it", file->path);
        }
        if (!column_add(file, cell)) {
            return err_set(ERR_MEMORY, "%s:1: no memory for the header", file->path);
        }
        if (empty) {
            file->column[file->column_count - 1].used = 0;
        }
    }
    return 0;
}

/* The row as a JSON object in `out`. False when it is no row of this header (or the memory is at its end). */
static bool row_convert(const struct file *file, struct text row, struct bytes *out)
{
    const char *at = row.at, *end = at + row.length;
    out->used = 0;
    for (int i = 0; at <= end; i++, at++) {
        const struct bytes *column = i < file->column_count ? &file->column[i] : NULL;
        size_t name = column ? column->used : 0;
        if (!bytes_reserve(out, name + (size_t)(end - at) * 6 + 4)) {
            return false;
        }
        size_t before = out->used;
        bool empty;
        out->at[out->used++] = before ? ',' : '{';
        if (name) {
            memcpy(out->at + out->used, column->at, name);
            out->used += name;
        }
        at = cell_read(at, end, out, &empty);
        if (!at || (!column && !empty)) {
            return false;
        }
        if (!name) { /* a column without a name, or an empty cell beyond the last */
            out->used = before;
        }
    }
    if (!out->used) {
        out->at[out->used++] = '{';
    }
    out->at[out->used++] = '}';
    return true;
}

/* The next message of a file. Results as record_next. */
static int message_next(struct file_source *source, struct file *file, struct message *message)
{
    for (;;) {
        struct text record;
        int result = record_next(file, &record);
        if (result != RECORD_FOUND) {
            return result;
        }
        if (record.length && record.at[record.length - 1] == '\r') {
            record.length--;
        }
        if (!record.length) {
            continue;
        }
        if (file->csv && !file->column_count) {
            int error = header_read(file, record, &source->row);
            if (error) {
                return error;
            }
            continue;
        }
        if (file->csv && record.length < FILE_LINE_MAX && row_convert(file, record, &source->row)) {
            record = (struct text){.at = source->row.at, .length = (uint32_t)source->row.used};
        }
        *message = (struct message){.at = record.at, .length = record.length, .input = (int)(file - source->file),
                                    .partition = (int32_t)(file - source->file), .offset = file->record_line};
        return RECORD_FOUND;
    }
}

/* One turn of one file. Returns how many messages, or ERR_*; `*more` becomes false when `each` has had enough. */
static int file_turn(struct file_source *source, struct file *file, int most, source_each *each, void *context, bool *more)
{
    int done = 0;
    while (done < most && done < FILE_TURN && *more) {
        struct message message;
        int result = message_next(source, file, &message);
        if (result < 0) {
            file_end(file); /* told once; what was read before stands */
            file->begin = file->end = file->scanned = 0;
            source->failure = source->failure ? source->failure : strdup(err_text());
            return result;
        }
        if (result != RECORD_FOUND) {
            break;
        }
        done++;
        *more = each(context, &message);
    }
    return done;
}

static bool file_drained(const struct file *file)
{
    return file->fd < 0 && file->begin == file->end;
}

/* Waits until a pipe has something; regular files never wait. */
static void files_wait(struct file_source *source, int wait_ms)
{
    nfds_t count = 0;
    for (int i = 0; i < source->count; i++) {
        if (source->file[i].fd >= 0) {
            source->wait[count++] = (struct pollfd){.fd = source->file[i].fd, .events = POLLIN};
        }
    }
    if (count) {
        (void)poll(source->wait, count, wait_ms);
    }
}

static int file_poll(void *state, int most, int wait_ms, source_each *each, void *context)
{
    struct file_source *source = state;
    int done = 0, idle = 0;
    bool more = !source->paused, waited = wait_ms == 0;
    while (more && done < most && source->count) {
        int got = file_turn(source, &source->file[source->turn], most - done, each, context, &more);
        source->turn = (source->turn + 1) % source->count;
        if (got < 0) {
            return got;
        }
        done += got;
        idle = got ? 0 : idle + 1;
        if (idle == source->count) {
            if (waited || done) {
                break;
            }
            files_wait(source, wait_ms);
            waited = true;
            idle = 0;
        }
    }
    return done;
}

static bool file_ready(void *state)
{
    (void)state;
    return true;
}

static int file_inputs(void *state)
{
    return ((struct file_source *)state)->count;
}

static bool file_at_end(void *state, int input)
{
    return file_drained(&((struct file_source *)state)->file[input]);
}

static void file_pause(void *state, bool pause)
{
    ((struct file_source *)state)->paused = pause;
}

static void file_close(void *state)
{
    struct file_source *source = state;
    for (int i = 0; i < source->count; i++) {
        struct file *file = &source->file[i];
        file_end(file);
        for (int column = 0; file->column && column < COLUMN_MAX; column++) {
            free(file->column[column].at);
        }
        free(file->column);
        free(file->buffer);
        free(file->path);
    }
    free(source->failure);
    free(source->row.at);
    free(source->wait);
    free(source);
}

static bool name_ends_in_csv(const char *path)
{
    size_t length = strlen(path);
    return length > 4 && strcasecmp(path + length - 4, ".csv") == 0;
}

static int file_open(const char *path, struct file *file)
{
    bool standard = strcmp(path, "-") == 0;
    struct stat facts;
    file->fd = -1;
    file->csv = name_ends_in_csv(path);
    file->path = strdup(standard ? "standard input" : path);
    if (!file->path) {
        return err_set(ERR_MEMORY, "%s: no memory", path);
    }
    file->fd = standard ? STDIN_FILENO : open(path, O_RDONLY | O_CLOEXEC);
    if (file->fd < 0 || fstat(file->fd, &facts) != 0) {
        return err_set(ERR_IO, "%s: %s", file->path, strerror(errno));
    }
    if (S_ISDIR(facts.st_mode)) {
        return err_set(ERR_IO, "%s: a folder; name the files in it", file->path);
    }
    file->regular = S_ISREG(facts.st_mode);
    file->size = file->regular ? facts.st_size : 0;
    return 0;
}

int file_source_open(const char *const *paths, int count, struct source *source)
{
    if (count > SOURCE_INPUT_MAX) {
        return err_set(ERR_USAGE, "%d files; at most %d at once", count, SOURCE_INPUT_MAX);
    }
    struct file_source *state = calloc(1, sizeof *state + (size_t)count * sizeof state->file[0]);
    if (!state || !(state->wait = calloc((size_t)count + 1, sizeof *state->wait))) {
        free(state);
        return err_set(ERR_MEMORY, "no memory for %d files", count);
    }
    for (int i = 0; i < count; i++) {
        state->count = i + 1;
        int error = file_open(paths[i], &state->file[i]);
        if (error) {
            file_close(state);
            return error;
        }
    }
    *source = (struct source){.state = state, .poll = file_poll, .ready = file_ready, .inputs = file_inputs, .at_end = file_at_end,
                              .pause = file_pause, .close = file_close};
    return 0;
}

const char *file_source_failure(const struct source *source)
{
    return ((const struct file_source *)source->state)->failure;
}

void file_source_progress(const struct source *source, int64_t *done, int64_t *total)
{
    const struct file_source *state = source->state;
    bool known = true;
    *done = *total = 0;
    for (int i = 0; i < state->count; i++) {
        const struct file *file = &state->file[i];
        *done += file->read - (int64_t)(file->end - file->begin);
        *total += file->size;
        known = known && file->regular;
    }
    *total = known ? *total : 0;
}
