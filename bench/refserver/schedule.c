#include "schedule.h"

static struct place *heap[MOST_CONNECTIONS + 1];
static size_t count;

static void set(size_t at, struct place *place) {
  heap[at] = place;
  place->at = at;
}

static void settle(size_t at, struct place *place) {
  for (; at > 1 && heap[at / 2]->due > place->due; at /= 2) set(at, heap[at / 2]);
  for (size_t child; (child = 2 * at) <= count; at = child) {
    if (child < count && heap[child + 1]->due < heap[child]->due) child++;
    if (heap[child]->due >= place->due) break;
    set(at, heap[child]);
  }
  set(at, place);
}

struct place *schedule_first(void) { return count ? heap[1] : NULL; }

void schedule_put(struct place *place, int64_t due) {
  place->due = due;
  settle(place->at ? place->at : ++count, place);
}

void schedule_remove(struct place *place) {
  size_t at = place->at;
  if (!at) return;
  place->at = 0;
  struct place *last = heap[count--];
  if (last != place) settle(at, last);
}
