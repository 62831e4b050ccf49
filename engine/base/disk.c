#include "esteem/disk.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "esteem/err.h"

static int failed(const char *path)
{
    return err_set(ERR_IO, "%s: %s", path, strerror(errno));
}

static int real_create(void *context, const char *path, int *file)
{
    (void)context;
    *file = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0640);
    return *file < 0 ? failed(path) : 0;
}

static int real_write(void *context, const char *path, int file, const void *bytes, size_t length)
{
    (void)context;
    const char *at = bytes;
    while (length > 0) {
        ssize_t done = write(file, at, length);
        if (done < 0 && errno == EINTR)
            continue;
        if (done < 0)
            return failed(path);
        at += done;
        length -= (size_t)done;
    }
    return 0;
}

static int real_close(void *context, const char *path, int file)
{
    (void)context;
    int result = fsync(file) != 0 ? failed(path) : 0;
    if (close(file) != 0 && result == 0)
        result = failed(path);
    return result;
}

static int real_rename(void *context, const char *from, const char *to)
{
    (void)context;
    return rename(from, to) != 0 ? failed(to) : 0;
}

static int real_sync_folder(void *context, const char *folder)
{
    (void)context;
    int file = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (file < 0)
        return failed(folder);
    int result = fsync(file) != 0 ? failed(folder) : 0;
    close(file);
    return result;
}

struct disk disk_real(void)
{
    return (struct disk){NULL, real_create, real_write, real_close, real_rename, real_sync_folder};
}

#ifdef ESTEEM_DEBUG
void crash_point(const char *name)
{
    static int passed; /* state thread only */
    const char *at = getenv("ESTEEM_CRASH_AT");
    size_t length = strlen(name);
    if (at == NULL || strncmp(at, name, length) != 0 || (at[length] && at[length] != ':'))
        return;
    if (++passed < (at[length] ? atoi(at + length + 1) : 1))
        return;
    fprintf(stderr, "killed at %s\n", at);
    raise(SIGKILL);
}
#endif
