/* memory: how much the process holds of the machine's, and whether that is near limits.memory. What lies free in our own pools does not
 * count: it is used again before more is taken. Runs on: main. */
#ifndef ESTEEM_MEMORY_H
#define ESTEEM_MEMORY_H

#include <stdbool.h>
#include <stdint.h>

/* Resident bytes of this process; 0 when the system does not say. */
uint64_t memory_resident(void);

/* Whether `resident` less `slack` is so near `limit` that nothing new may be begun: above 85 %, and until it is below 80 % again. `limit` 0: never. */
bool memory_presses(uint64_t limit, uint64_t resident, uint64_t slack, bool pressed);

#endif
