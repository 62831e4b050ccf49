/* memory: how much the process holds of the machine's, and how near that is to limits.memory. What lies free in our own pools does not
 * count: it is used again before more is taken. Runs on: main. */
#ifndef ESTEEM_MEMORY_H
#define ESTEEM_MEMORY_H

#include <stdint.h>

/* Resident bytes of this process; 0 when the system does not say. */
uint64_t memory_resident(void);

/* Before any thread: the allocator gives large blocks back at once and shares fewer arenas, at some cost; less of the limit is lost to holes
 * (332 MiB without, 293 with it, tests/system/memory.sh 1500000, 23 Nov 2026). */
void memory_keep_close(void);

/* Keys go on to grow for as long as their longest window, so new ones end at 30 % of the limit; new interactions at 55 %. The rest is for what goes on to grow, for the allocator, and
 * for the moment until this is looked at again. */
enum memory_state { MEMORY_FREE, MEMORY_NO_KEYS /* above 30 % */, MEMORY_NOTHING_NEW /* above 55 % */ };

/* The state for `resident` bytes of which `slack` are free in pools; a state is left 5 % below where it began. `limit` 0: always free. */
enum memory_state memory_state(uint64_t limit, uint64_t resident, uint64_t slack, enum memory_state now);

#endif
