/* One client connection: reads requests, sends events when they are due, never waits. */
#ifndef CONNECTION_H
#define CONNECTION_H

#include <stdbool.h>
#include <stdint.h>

#include "schedule.h"

struct settings {
  int64_t ttft, itl; /* nanoseconds */
  long tokens;       /* of a completion that does not ask for a number */
  bool role_chunk;
  const char *model;
};

struct connection {
  struct place place; /* first: the schedule gives it back */
  int fd;
  struct connection_state *state;
};

struct connection *connection_new(int fd, const struct settings *settings);

/* What epoll has seen. False: the connection is gone and freed. */
bool connection_ready(struct connection *connection, bool readable, bool writable);

/* Its next event is due. False as above. */
bool connection_due(struct connection *connection);

/* Set by the program: tells epoll whether to wait until the connection can be written to. */
extern void (*connection_watch)(struct connection *connection, bool writable);

#endif
