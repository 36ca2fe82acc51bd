/* When bytes came in, by the kernel: our own reading, however late, does not count into the truth. */
#ifndef ARRIVAL_H
#define ARRIVAL_H

#include <stdbool.h>
#include <stdint.h>

/* The kernel begins to stamp all segments some time after the first socket asks for it; until then it stamps a segment
   when it is read. Asks for it for as long as the program lives, and waits for it. False: it never began. */
bool arrival_stamped(void);

/* To be called once for a socket, before anything is read of it. */
void arrival_watch(int fd);

/* Of the first byte that waits to be read; CLOCK_MONOTONIC. Now if none waits. */
int64_t arrival_of(int fd);

#endif
