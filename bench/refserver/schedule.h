/* Who is next: a binary heap of connections by when their next event is due. */
#ifndef SCHEDULE_H
#define SCHEDULE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define MOST_CONNECTIONS 16384

struct place {
  int64_t due;
  size_t at; /* in the heap, from 1; 0: not in it */
};

struct place *schedule_first(void);
void schedule_put(struct place *place, int64_t due); /* anew, or at another time */
void schedule_remove(struct place *place);

#endif
