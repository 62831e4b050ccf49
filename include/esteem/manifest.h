/* manifest: what makes a checkpoint real: a text file that names every slice's files, oldest first, with their lengths and hashes. Two generations are
 * kept, and one of the chain before, so that a file that has rotted does not take all of them along.
 *
 *   esteem-checkpoint 1
 *   epoch 42
 *   written 2026-11-23T14:00:00Z
 *   told-since 2026-11-23T13:49:50Z                 from then on the sinks may have rows that it does not know; "ever"
 *   engine 0.1.0
 *   group esteem
 *   config 1f0c9a2b
 *   slice shard 0
 *   file 0000000040-shard-0.slice 1048576 9d0f...   a full one, then what was added
 *   file 0000000042-shard-0.slice 52341 22ab...
 *   ...
 *   end 5be1...                                     hash of all before
 *
 * Runs on: main before the agents start, then the state thread. */
#ifndef ESTEEM_MANIFEST_H
#define ESTEEM_MANIFEST_H

#include <stdbool.h>
#include <stdint.h>

#include "esteem/disk.h"
#include "esteem/slice.h"

enum { STATE_SHARDS_MAX = 64, STATE_FOLDS_MAX = 16, STATE_SLICES_MAX = STATE_SHARDS_MAX + STATE_FOLDS_MAX, STATE_CHAIN_MAX = 32,
       STATE_NAME_MAX = 64, STATE_GENERATIONS_MAX = 64,
       TOLD_MARGIN_MS = 600000 /* clocks that differ, rows in a producer's queue */ };

struct state_file {
    char name[STATE_NAME_MAX];
    uint64_t bytes, hash; /* XXH3-64 of all bytes */
};

struct state_slice {
    bool fold;
    int index;
    struct state_file file[STATE_CHAIN_MAX];
    int files;
};

struct manifest {
    uint64_t epoch;
    int64_t told_since_ms; /* INT64_MIN: ever. Of a manifest without that line: when it was written, less the margin */
    char written[32], engine[32], group[128], config[16];
    struct state_slice slice[STATE_SLICES_MAX]; /* shards first, then folds, each by index */
    int slices, shards, folds;
};

/* Epochs whose manifests lie in the folder, newest first; returns how many, at most STATE_GENERATIONS_MAX. ERR_IO. */
int manifest_list(const char *folder, uint64_t *epochs);
/* ERR_IO: it cannot be read; ERR_DATA: it is not whole, or of a newer version. */
int manifest_read(const char *folder, uint64_t epoch, struct manifest *manifest);
/* Writes, syncs, renames, syncs the folder: after that the checkpoint is real. */
int manifest_write(const char *folder, const struct disk *disk, const struct manifest *manifest);
/* Removes what no manifest of these needs, manifests included; only files of epoch `only`, unless that is 0. Files that are not of a
 * checkpoint's names stay. */
void manifest_sweep(const char *folder, const struct manifest *const *keep, int count, uint64_t only);
/* The next number for files: above all that are there. */
uint64_t manifest_next_epoch(const char *folder);

/* ---- the files of a slice: a line, then blocks, each a zstd frame with its checksum behind its length ---- */

struct state_writer {
    const struct disk *disk;
    char path[512], temporary[520];
    int file;
    bool open;
    uint64_t bytes;
    void *hash, *packer; /* XXH3_state_t, ZSTD_CCtx */
    uint8_t *packed;
    size_t packed_room;
};
int state_writer_open(struct state_writer *writer, const char *folder, const char *name, const struct disk *disk);
int state_writer_put(struct state_writer *writer, const struct slice_block *block);
/* Synced and under its name. */
int state_writer_close(struct state_writer *writer, struct state_file *file);
/* Nothing stays of it; also after an error. */
void state_writer_drop(struct state_writer *writer);

/* Whether a file is what the manifest says, byte by byte. ERR_IO or ERR_DATA. */
int state_file_check(const char *folder, const struct state_file *file);
/* Hands each item of the file to `each`; what it returns below 0 ends the reading and is returned. */
typedef int state_each(void *context, struct slice_item *item);
int state_file_read(const char *folder, const struct state_file *file, state_each *each, void *context);

#endif
