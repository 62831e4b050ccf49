#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <xxhash.h>
#include <zstd.h>

#include "esteem/err.h"
#include "esteem/manifest.h"

#define FIRST_LINE "esteem-slice 1\n"
enum { LEVEL = 1, CHUNK = 1 << 20, BLOCK_MOST = 1 << 30 };

/* ---- writing ---- */

static int put(struct state_writer *writer, const void *bytes, size_t length)
{
    int result = writer->disk->write(writer->disk->context, writer->temporary, writer->file, bytes, length);
    if (result != 0)
        return result;
    XXH3_64bits_update(writer->hash, bytes, length);
    writer->bytes += length;
    return 0;
}

int state_writer_open(struct state_writer *writer, const char *folder, const char *name, const struct disk *disk)
{
    *writer = (struct state_writer){.disk = disk, .hash = XXH3_createState(), .packer = ZSTD_createCCtx()};
    ensure(writer->hash && writer->packer, "the machine has memory left");
    XXH3_64bits_reset(writer->hash);
    ZSTD_CCtx_setParameter(writer->packer, ZSTD_c_compressionLevel, LEVEL);
    ZSTD_CCtx_setParameter(writer->packer, ZSTD_c_checksumFlag, 1);
    snprintf(writer->path, sizeof writer->path, "%s/%s", folder, name);
    snprintf(writer->temporary, sizeof writer->temporary, "%s.tmp", writer->path);
    int result = disk->create(disk->context, writer->temporary, &writer->file);
    if (result != 0)
        return result;
    writer->open = true;
    crash_point("slice.created");
    return put(writer, FIRST_LINE, strlen(FIRST_LINE));
}

int state_writer_put(struct state_writer *writer, const struct slice_block *block)
{
    size_t room = ZSTD_compressBound(block->length);
    if (room > writer->packed_room) {
        writer->packed = realloc(writer->packed, room);
        ensure(writer->packed != NULL, "the machine has memory left");
        writer->packed_room = room;
    }
    size_t length = ZSTD_compress2(writer->packer, writer->packed, room, block->bytes, block->length);
    ensure(!ZSTD_isError(length), "zstd packs any block into the room it asked for");
    uint32_t head = (uint32_t)length;
    int result = put(writer, &head, sizeof head);
    if (result == 0)
        result = put(writer, writer->packed, length);
    crash_point("slice.block");
    return result;
}

static void release(struct state_writer *writer)
{
    XXH3_freeState(writer->hash);
    ZSTD_freeCCtx(writer->packer);
    free(writer->packed);
    *writer = (struct state_writer){0};
}

int state_writer_close(struct state_writer *writer, struct state_file *file)
{
    const struct disk *disk = writer->disk;
    writer->open = false;
    int result = disk->close(disk->context, writer->temporary, writer->file);
    crash_point("slice.synced");
    if (result == 0)
        result = disk->rename(disk->context, writer->temporary, writer->path);
    if (result != 0) {
        state_writer_drop(writer);
        return result;
    }
    crash_point("slice.renamed");
    const char *name = strrchr(writer->path, '/') + 1;
    snprintf(file->name, sizeof file->name, "%s", name);
    file->bytes = writer->bytes;
    file->hash = XXH3_64bits_digest(writer->hash);
    release(writer);
    return 0;
}

void state_writer_drop(struct state_writer *writer)
{
    if (writer->disk == NULL)
        return;
    if (writer->open)
        close(writer->file);
    unlink(writer->temporary);
    release(writer);
}

/* ---- reading ---- */

static int failed(const char *path)
{
    return err_set(ERR_IO, "%s: %s", path, strerror(errno));
}

static FILE *open_file(const char *folder, const struct state_file *file, char *path, size_t room)
{
    snprintf(path, room, "%s/%s", folder, file->name);
    FILE *in = fopen(path, "rbe");
    if (in == NULL)
        failed(path);
    return in;
}

int state_file_check(const char *folder, const struct state_file *file)
{
    char path[512];
    FILE *in = open_file(folder, file, path, sizeof path);
    if (in == NULL)
        return ERR_IO;
    XXH3_state_t *hash = XXH3_createState();
    char *chunk = malloc(CHUNK);
    ensure(hash && chunk, "the machine has memory left");
    XXH3_64bits_reset(hash);
    uint64_t bytes = 0;
    for (size_t length; (length = fread(chunk, 1, CHUNK, in)) > 0; bytes += length)
        XXH3_64bits_update(hash, chunk, length);
    int result = ferror(in) ? failed(path) : 0;
    if (result == 0 && bytes != file->bytes)
        result = err_set(ERR_DATA, "%s has %llu bytes instead of %llu", path, (unsigned long long)bytes, (unsigned long long)file->bytes);
    if (result == 0 && XXH3_64bits_digest(hash) != file->hash)
        result = err_set(ERR_DATA, "%s is damaged: its hash is not that of the manifest", path);
    free(chunk);
    XXH3_freeState(hash);
    fclose(in);
    return result;
}

static int read_items(const char *path, const uint8_t *bytes, size_t length, state_each *each, void *context, bool *ended)
{
    struct slice_item item;
    const uint8_t *at = bytes, *end = bytes + length;
    while (slice_next(&at, end, &item)) {
        if (*ended)
            return err_set(ERR_DATA, "%s goes on behind its end", path);
        *ended = item.kind == SLICE_END;
        int result = each(context, &item);
        if (result < 0)
            return err_note("%s", path);
    }
    return item.bad ? err_set(ERR_DATA, "%s has an item that is not well-formed", path) : 0;
}

struct unpacker {
    uint8_t *packed, *bytes;
    size_t packed_room, room;
};

static void *grown(uint8_t *block, size_t *room, size_t length)
{
    if (length <= *room)
        return block;
    block = realloc(block, length);
    ensure(block != NULL, "the machine has memory left");
    *room = length;
    return block;
}

/* 1: a block was read; 0: the file has ended. */
static int read_block(FILE *in, const char *path, struct unpacker *unpacker, size_t *length)
{
    uint32_t head;
    size_t got = fread(&head, 1, sizeof head, in);
    if (got == 0 && feof(in))
        return 0;
    if (got != sizeof head || head > BLOCK_MOST)
        return err_set(ERR_DATA, "%s breaks off", path);
    unpacker->packed = grown(unpacker->packed, &unpacker->packed_room, head);
    if (fread(unpacker->packed, 1, head, in) != head)
        return err_set(ERR_DATA, "%s breaks off", path);
    unsigned long long size = ZSTD_getFrameContentSize(unpacker->packed, head);
    if (size == ZSTD_CONTENTSIZE_UNKNOWN || size == ZSTD_CONTENTSIZE_ERROR || size > BLOCK_MOST)
        return err_set(ERR_DATA, "%s has a block that is no zstd frame", path);
    unpacker->bytes = grown(unpacker->bytes, &unpacker->room, size ? size : 1);
    *length = ZSTD_decompress(unpacker->bytes, unpacker->room, unpacker->packed, head);
    return ZSTD_isError(*length) ? err_set(ERR_DATA, "%s: %s", path, ZSTD_getErrorName(*length)) : 1;
}

int state_file_read(const char *folder, const struct state_file *file, state_each *each, void *context)
{
    char path[512], line[sizeof FIRST_LINE] = "";
    FILE *in = open_file(folder, file, path, sizeof path);
    if (in == NULL)
        return ERR_IO;
    struct unpacker unpacker = {0};
    bool ended = false;
    size_t length = 0;
    int result = fgets(line, sizeof line, in) && strcmp(line, FIRST_LINE) == 0
                     ? 1 : err_set(ERR_DATA, "%s is no slice of this version of esteem", path);
    while (result > 0 && (result = read_block(in, path, &unpacker, &length)) > 0) {
        int read = read_items(path, unpacker.bytes, length, each, context, &ended);
        result = read < 0 ? read : 1;
    }
    if (result == 0 && !ended)
        result = err_set(ERR_DATA, "%s has no end", path);
    free(unpacker.packed);
    free(unpacker.bytes);
    fclose(in);
    return result;
}
