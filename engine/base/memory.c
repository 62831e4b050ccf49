#include "esteem/memory.h"

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

bool memory_presses(uint64_t limit, uint64_t resident, uint64_t slack, bool pressed)
{
    uint64_t used = resident > slack ? resident - slack : 0;
    return limit > 0 && used > limit / 100 * (pressed ? 80 : 85);
}
