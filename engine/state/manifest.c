#include "esteem/manifest.h"

#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <xxhash.h>

#include "esteem/err.h"
#include "esteem/event.h"

#define FIRST_LINE "esteem-checkpoint 1"
#define EVER "ever" /* told-since: there was no checkpoint before */
enum { MANIFEST_MOST = 4 << 20, TOLD_UNKNOWN = -1 /* while a manifest is read: no line of it has said so */ };

static void path_of(char *path, size_t room, const char *folder, uint64_t epoch)
{
    snprintf(path, room, "%s/%010" PRIu64 ".manifest", folder, epoch);
}

/* ---- the folder ---- */

static int newest_first(const void *a, const void *b)
{
    uint64_t left = *(const uint64_t *)a, right = *(const uint64_t *)b;
    return (left < right) - (left > right);
}

int manifest_list(const char *folder, uint64_t *epochs)
{
    DIR *dir = opendir(folder);
    if (dir == NULL)
        return err_set(ERR_IO, "%s: %s", folder, strerror(errno));
    int count = 0;
    for (struct dirent *entry; (entry = readdir(dir)) != NULL;) {
        uint64_t epoch;
        int end = 0;
        if (sscanf(entry->d_name, "%" SCNu64 ".manifest%n", &epoch, &end) != 1 || end == 0 || entry->d_name[end])
            continue;
        if (count == STATE_GENERATIONS_MAX)
            qsort(epochs, (size_t)count--, sizeof *epochs, newest_first);
        epochs[count++] = epoch;
    }
    closedir(dir);
    qsort(epochs, (size_t)count, sizeof *epochs, newest_first);
    return count;
}

/* Whether a file has the name of a manifest or a slice, or of one that was not finished. */
static bool own_name(const char *name, uint64_t *epoch)
{
    static const char *const forms[] = {".manifest%n", "-shard-%*u.slice%n", "-fold-%*u.slice%n"};
    int digits = (int)strspn(name, "0123456789");
    if (digits < 10 || digits > 19)
        return false;
    *epoch = strtoull(name, NULL, 10);
    for (size_t f = 0; f < sizeof forms / sizeof *forms; f++) {
        int end = 0;
        (void)sscanf(name + digits, forms[f], &end);
        const char *rest = name + digits + end;
        if (end && (*rest == 0 || strcmp(rest, ".tmp") == 0))
            return true;
    }
    return false;
}

uint64_t manifest_next_epoch(const char *folder)
{
    uint64_t highest = 0, epoch;
    DIR *dir = opendir(folder);
    for (struct dirent *entry; dir && (entry = readdir(dir)) != NULL;)
        if (own_name(entry->d_name, &epoch) && epoch > highest)
            highest = epoch;
    if (dir)
        closedir(dir);
    return highest + 1;
}

static bool needed(const struct manifest *manifest, const char *name)
{
    char own[STATE_NAME_MAX];
    snprintf(own, sizeof own, "%010" PRIu64 ".manifest", manifest->epoch);
    if (strcmp(own, name) == 0)
        return true;
    for (int s = 0; s < manifest->slices; s++)
        for (int f = 0; f < manifest->slice[s].files; f++)
            if (strcmp(manifest->slice[s].file[f].name, name) == 0)
                return true;
    return false;
}

void manifest_sweep(const char *folder, const struct manifest *const *keep, int count, uint64_t only)
{
    DIR *dir = opendir(folder);
    for (struct dirent *entry; dir && (entry = readdir(dir)) != NULL;) {
        uint64_t epoch;
        bool ours = own_name(entry->d_name, &epoch) && (only == 0 || epoch == only);
        for (int i = 0; ours && i < count; i++)
            ours = !needed(keep[i], entry->d_name);
        char path[1024];
        snprintf(path, sizeof path, "%s/%s", folder, entry->d_name);
        if (ours)
            unlink(path);
    }
    if (dir)
        closedir(dir);
}

/* ---- writing ---- */

static void print(const struct manifest *manifest, FILE *out)
{
    char since[TIME_TEXT_MAX] = EVER;
    if (manifest->told_since_ms != INT64_MIN)
        event_time_format(manifest->told_since_ms, since);
    fprintf(out, FIRST_LINE "\nepoch %" PRIu64 "\nwritten %s\ntold-since %s\nengine %s\ngroup %s\nconfig %s\n", manifest->epoch, manifest->written,
            since, manifest->engine, manifest->group, manifest->config);
    for (int s = 0; s < manifest->slices; s++) {
        const struct state_slice *slice = &manifest->slice[s];
        fprintf(out, "slice %s %d\n", slice->fold ? "fold" : "shard", slice->index);
        for (int f = 0; f < slice->files; f++)
            fprintf(out, "file %s %" PRIu64 " %016" PRIx64 "\n", slice->file[f].name, slice->file[f].bytes, slice->file[f].hash);
    }
}

int manifest_write(const char *folder, const struct disk *disk, const struct manifest *manifest)
{
    char path[512], temporary[520], *text = NULL;
    size_t length = 0;
    FILE *memory = open_memstream(&text, &length);
    ensure(memory != NULL, "the machine has memory left");
    print(manifest, memory);
    fflush(memory);
    uint64_t hash = XXH3_64bits(text, length);
    fprintf(memory, "end %016" PRIx64 "\n", hash);
    fclose(memory);
    path_of(path, sizeof path, folder, manifest->epoch);
    snprintf(temporary, sizeof temporary, "%s.tmp", path);
    int file, result = disk->create(disk->context, temporary, &file);
    if (result == 0) {
        result = disk->write(disk->context, temporary, file, text, length);
        crash_point("manifest.written");
        int closed = disk->close(disk->context, temporary, file);
        result = result ? result : closed;
        crash_point("manifest.synced");
    }
    if (result == 0)
        result = disk->sync_folder(disk->context, folder); /* no manifest without the files that it names */
    if (result == 0)
        result = disk->rename(disk->context, temporary, path);
    crash_point("manifest.renamed");
    if (result == 0)
        result = disk->sync_folder(disk->context, folder);
    crash_point("folder.synced");
    if (result != 0)
        unlink(temporary);
    free(text);
    return result;
}

/* ---- reading ---- */

static bool read_slice(struct manifest *manifest, const char *line)
{
    char kind[8];
    int index;
    if (sscanf(line, "slice %7s %d", kind, &index) != 2 || manifest->slices == STATE_SLICES_MAX)
        return false;
    bool fold = strcmp(kind, "fold") == 0;
    int *count = fold ? &manifest->folds : &manifest->shards;
    if (index != *count || (!fold && manifest->folds) || (!fold && strcmp(kind, "shard") != 0))
        return false;
    if (++*count > (fold ? (int)STATE_FOLDS_MAX : (int)STATE_SHARDS_MAX))
        return false;
    manifest->slice[manifest->slices++] = (struct state_slice){.fold = fold, .index = index};
    return true;
}

static bool read_file(struct manifest *manifest, const char *line)
{
    struct state_slice *slice = manifest->slices ? &manifest->slice[manifest->slices - 1] : NULL;
    if (slice == NULL || slice->files == STATE_CHAIN_MAX)
        return false;
    struct state_file *file = &slice->file[slice->files++];
    return sscanf(line, "file %63s %" SCNu64 " %" SCNx64, file->name, &file->bytes, &file->hash) == 3 && strchr(file->name, '/') == NULL;
}

static bool read_told_since(struct manifest *manifest, const char *text)
{
    if (strcmp(text, EVER) == 0) {
        manifest->told_since_ms = INT64_MIN;
        return true;
    }
    return event_time_rfc3339(text, strlen(text), &manifest->told_since_ms);
}

static bool read_line(struct manifest *manifest, const char *line)
{
    if (strncmp(line, "told-since ", 11) == 0)
        return read_told_since(manifest, line + 11);
    if (sscanf(line, "epoch %" SCNu64, &manifest->epoch) == 1 || sscanf(line, "written %31s", manifest->written) == 1 ||
        sscanf(line, "engine %31s", manifest->engine) == 1 || sscanf(line, "group %127[^\n]", manifest->group) == 1 ||
        sscanf(line, "config %15s", manifest->config) == 1)
        return true;
    return strncmp(line, "slice ", 6) == 0 ? read_slice(manifest, line) : strncmp(line, "file ", 5) == 0 && read_file(manifest, line);
}

static int read_text(const char *path, char *text, size_t length, struct manifest *manifest)
{
    char *end = length > 22 && text[length - 1] == '\n' ? text + length - 21 : NULL; /* "end " and 16 digits, and the newline */
    uint64_t hash;
    if (end == NULL || sscanf(end, "end %16" SCNx64, &hash) != 1 || XXH3_64bits(text, (size_t)(end - text)) != hash)
        return err_set(ERR_DATA, "%s is not whole", path);
    *end = 0;
    char *rest, *line = strtok_r(text, "\n", &rest);
    if (line == NULL || strcmp(line, FIRST_LINE) != 0)
        return err_set(ERR_DATA, "%s is of another version of esteem (%s); start that version", path, line ? line : "");
    manifest->told_since_ms = TOLD_UNKNOWN;
    while ((line = strtok_r(NULL, "\n", &rest)) != NULL)
        if (!read_line(manifest, line))
            return err_set(ERR_DATA, "%s: cannot read \"%s\"", path, line);
    if (manifest->told_since_ms == TOLD_UNKNOWN) { /* of an older version */
        bool known = event_time_rfc3339(manifest->written, strlen(manifest->written), &manifest->told_since_ms);
        manifest->told_since_ms = known ? manifest->told_since_ms - TOLD_MARGIN_MS : INT64_MIN;
    }
    return manifest->shards && manifest->folds ? 0 : err_set(ERR_DATA, "%s names no slices", path);
}

int manifest_read(const char *folder, uint64_t epoch, struct manifest *manifest)
{
    char path[512];
    path_of(path, sizeof path, folder, epoch);
    *manifest = (struct manifest){0};
    FILE *in = fopen(path, "rbe");
    if (in == NULL)
        return err_set(ERR_IO, "%s: %s", path, strerror(errno));
    char *text = malloc(MANIFEST_MOST);
    ensure(text != NULL, "the machine has memory left");
    size_t length = fread(text, 1, MANIFEST_MOST - 1, in);
    int result = ferror(in) ? err_set(ERR_IO, "%s: %s", path, strerror(errno)) : 0;
    text[length] = 0;
    fclose(in);
    if (result == 0)
        result = read_text(path, text, length, manifest);
    free(text);
    return result;
}
