/* file: bytes → lines or rows → messages.
 *
 *   fd ──read──> buffer [begin .. scanned .. end) ──record_next──> a line or a row ──csv_columns_row (CSV)──> message
 *
 * A record that does not end inside the buffer is completed by the next read; the scan goes on where it stopped, with the state
 * it had. Everything is read with read(2), so that pipes, regular files and standard input are one case, and a file that another
 * process cuts short is no fault. */
#include "esteem/file.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

#include "csv_rows.h"
#include "esteem/err.h"
#include "esteem/utf8.h"

enum {
    BUFFER_MIN = 256 << 10, /* bytes */
    BUFFER_SPARE = 64,      /* readable bytes behind a message: a decoder may load whole words */
};

struct file {
    char *path;
    int fd; /* -1: read to its end */
    bool csv, regular, begun, skipping;
    char *buffer;
    size_t space, begin, scanned, end; /* offsets into buffer */
    int64_t size, read;                /* bytes in all (regular files), bytes read */
    int64_t record_line;               /* the line in which the record begins */
    struct csv row;                    /* up to `scanned`; its `line` counts those of JSON Lines as well */
    struct csv_columns columns;
};

struct file_source {
    int count, turn; /* turn: the file that is next */
    bool paused;
    char *failure; /* of the first file that could not be read to its end; NULL: none */
    char *row;     /* the CSV row as JSON */
    size_t row_space;
    struct pollfd *wait;
    struct file file[];
};

enum { RECORD_NONE, RECORD_FOUND, RECORD_END };

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
    if (!file->begun) {
        const char *other;
        int mark = utf8_begin(file->buffer, file->end, &other);
        if (other) {
            return err_set(ERR_DATA, "%s: %s", file->path, other);
        }
        file->begun = mark >= 0;
        file->begin = file->scanned = mark > 0 ? (size_t)mark : 0;
    }
    return 1;
}

/* Scans on to the end of a line or row. False: it is not in the buffer yet. */
static bool record_scan(struct file *file, bool as_row)
{
    const char *at = file->buffer + file->scanned, *end = file->buffer + file->end;
    bool found = as_row ? csv_record(&file->row, &at, end, false) : (at = memchr(at, '\n', (size_t)(end - at))) != NULL;
    file->row.line += found && !as_row;
    file->scanned = found ? (size_t)(at - file->buffer) : file->end;
    return found;
}

/* What is left when a file ends without a last \n. */
static int record_last(struct file *file, struct text *record)
{
    bool any = file->end > file->begin && !file->skipping;
    const char *at = file->buffer + file->end;
    if (any && file->csv) {
        csv_record(&file->row, &at, at, true);
    }
    *record = (struct text){.at = file->buffer + file->begin, .length = any ? (uint32_t)(file->end - file->begin) : 0};
    file->begin = file->end = file->scanned = 0;
    return any ? RECORD_FOUND : RECORD_END;
}

/* The next line or row, without its end; it lives until the next call. An error of the file is returned as ERR_*. */
static int record_next(struct file *file, struct text *record)
{
    for (;;) {
        bool end = false;
        if (file->begin == file->scanned) {
            file->record_line = file->row.line + 1;
        }
        if (file->begun && file->scanned < file->end) {
            end = record_scan(file, file->csv && !file->skipping);
        }
        size_t length = file->scanned - file->begin;
        if (file->skipping || length >= FILE_LINE_MAX) {
            bool first = !file->skipping;
            *record = (struct text){.at = file->buffer + file->begin, .length = FILE_LINE_MAX};
            file->skipping = !end;
            file->begin = file->scanned += end;
            file->row = (struct csv){.line = file->row.line, .fault = "it is longer than any message; close the quote",
                                     .fault_cell = file->row.cells};
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
        if (file->csv && !file->columns.count) {
            int error = csv_columns_read(&file->columns, &file->row, record, file->path, file->record_line);
            if (error) {
                return error;
            }
            continue;
        }
        if (file->csv) {
            csv_columns_row(&file->columns, &file->row, &record, &source->row, &source->row_space);
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
    const struct file *file = &((struct file_source *)state)->file[input];
    return file->fd < 0 && file->begin == file->end;
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
        csv_columns_close(&file->columns);
        free(file->buffer);
        free(file->path);
    }
    free(source->failure);
    free(source->row);
    free(source->wait);
    free(source);
}

static int file_open(const char *path, struct file *file)
{
    bool standard = strcmp(path, "-") == 0;
    size_t length = strlen(path);
    struct stat facts;
    file->fd = -1;
    file->csv = length > 4 && strcasecmp(path + length - 4, ".csv") == 0;
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
