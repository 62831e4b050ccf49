/* disk: the few things that a checkpoint asks of a file system, so that a test can have a disk that is full or tears a file. Runs on: the state
 * thread; any call may take as long as the disk does. All return 0 or ERR_IO with a trail that names the file. */
#ifndef ESTEEM_DISK_H
#define ESTEEM_DISK_H

#include <stddef.h>

struct disk {
    void *context;
    int (*create)(void *context, const char *path, int *file); /* empty, for writing */
    int (*write)(void *context, const char *path, int file, const void *bytes, size_t length);
    int (*close)(void *context, const char *path, int file); /* synced before */
    int (*rename)(void *context, const char *from, const char *to);
    int (*sync_folder)(void *context, const char *folder);
};

/* The machine's own. */
struct disk disk_real(void);

/* Kills the process at a named step of a checkpoint when ESTEEM_CRASH_AT names it ("manifest.renamed", or with a count, "manifest.renamed:3"):
 * in builds with ESTEEM_DEBUG only. */
#ifdef ESTEEM_DEBUG
void crash_point(const char *name);
#else
#define crash_point(name) ((void)0)
#endif

#endif
