/* What was really sent and when: the record that clients are held against.
 *
 * All samples are kept, so that quantiles are exact (nearest rank). The record covers completions whose request
 * arrived after the last reset; one that was under way at a reset is left out. */
#ifndef TRUTH_H
#define TRUTH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum figure {
  TTFT,     /* arrival of the request's first byte -> write of the first content event */
  GAP,      /* between the writes of two content events of one request, pooled */
  ITL,      /* (last - first content event) / (tokens - 1) of each finished request */
  LATENCY,  /* arrival -> write of the last content event, of each finished request */
  LATENESS, /* write of an event after it was due by the settings; never negative */
  FIGURES,
};

/* One completion as it is being sent; `generation` says which record it belongs to. */
struct completion {
  uint64_t generation;
  int64_t arrival, first, last; /* nanoseconds, monotonic */
  int64_t tokens;
};

void truth_reset(void);

/* A completion's request has arrived. */
void truth_arrived(struct completion *completion, int64_t arrival);

/* A content event of it is about to be written `now`; it was due at `due`. */
void truth_event(struct completion *completion, int64_t now, int64_t due);

/* Its last event has been written: `stopped` early if the client went away before. */
void truth_ended(struct completion *completion, bool stopped);

/* The kernel did not take a write at once: the client does not read fast enough. */
void truth_stalled(void);

/* The record as a JSON object, to be freed; quantiles in milliseconds. Without `figures` only what costs nothing. */
char *truth_json(size_t *length, bool figures);

#endif
