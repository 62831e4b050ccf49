#include "esteem/memory.h"

#include <malloc.h>
#include <stdio.h>
#include <unistd.h>

uint64_t memory_resident(void)
{
    unsigned long long pages = 0;
    FILE *in = fopen("/proc/self/statm", "re");
    if (in == NULL)
        return 0;
    if (fscanf(in, "%*s %llu", &pages) != 1)
        pages = 0;
    fclose(in);
    return pages * (uint64_t)sysconf(_SC_PAGESIZE);
}

void memory_keep_close(void)
{
    mallopt(M_MMAP_THRESHOLD, 128 << 10);
    mallopt(M_TRIM_THRESHOLD, 1 << 20);
    mallopt(M_ARENA_MAX, 4);
}

enum memory_state memory_state(uint64_t limit, uint64_t resident, uint64_t slack, enum memory_state now)
{
    uint64_t used = resident > slack ? resident - slack : 0, percent = limit ? used * 100 / limit : 0;
    if (percent >= 55 || (percent >= 50 && now == MEMORY_NOTHING_NEW))
        return MEMORY_NOTHING_NEW;
    return percent >= 30 || (percent >= 25 && now != MEMORY_FREE) ? MEMORY_NO_KEYS : MEMORY_FREE;
}
