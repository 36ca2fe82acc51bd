/* A reference server of known timing: an OpenAI-compatible endpoint whose every event is due at a known time. */
#include <errno.h>
#include <getopt.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "arrival.h"
#include "clock.h"
#include "connection.h"

#define MOST_READY 256
#define DUE_AT_ONCE 64 /* events sent before sockets are looked at again */
#define NEAR_NS 20000  /* what is due so soon is waited for awake: going to sleep takes longer */

static const char USAGE[] =
    "usage: refserver [--port N] [--ttft-ms N] [--itl-ms N] [--tokens N] [--model NAME] [--no-role-chunk]\n";

static int epoll, timer, listener;
static volatile sig_atomic_t ending;

static void end(int number) {
  (void)number;
  ending = 1;
}

static void fail(const char *what) {
  fprintf(stderr, "refserver: %s: %s\n", what, strerror(errno));
  exit(1);
}

static void watch(struct connection *connection, bool writable) {
  struct epoll_event event = {.events = EPOLLIN | (writable ? EPOLLOUT : 0), .data.ptr = connection};
  if (epoll_ctl(epoll, EPOLL_CTL_MOD, connection->fd, &event)) fail("epoll_ctl");
}

static void add(int fd, void *pointer) {
  struct epoll_event event = {.events = EPOLLIN, .data.ptr = pointer};
  if (epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event)) fail("epoll_ctl");
}

static int listen_on(int port) {
  int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), yes = 1;
  setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
  struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK); /* never reached from another machine */
  socklen_t length = sizeof address;
  if (bind(fd, (struct sockaddr *)&address, length) || listen(fd, 4096)) fail("listen");
  getsockname(fd, (struct sockaddr *)&address, &length);
  printf("refserver on port %d\n", ntohs(address.sin_port));
  fflush(stdout);
  return fd;
}

static void accept_all(const struct settings *settings) {
  for (int fd; (fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0;) {
    if (fd >= MOST_CONNECTIONS)
      close(fd);
    else
      add(fd, connection_new(fd, settings));
  }
}

/* Milliseconds for epoll: 0 if something is due or nearly so, else -1 with the timer set. */
static int until_next(void) {
  const struct place *first = schedule_first();
  if (first && first->due - monotonic_ns() < NEAR_NS) return 0;
  int64_t due = first ? first->due : 0;
  struct itimerspec at = {.it_value = {.tv_sec = due / SECOND, .tv_nsec = due % SECOND}};
  if (timerfd_settime(timer, TFD_TIMER_ABSTIME, &at, NULL)) fail("timerfd_settime"); /* also forgets that it rang */
  return -1;
}

static void run(const struct settings *settings) {
  static struct epoll_event ready[MOST_READY];
  while (!ending) {
    int count = epoll_wait(epoll, ready, MOST_READY, until_next());
    for (int i = 0; i < count; i++) {
      void *who = ready[i].data.ptr;
      if (who == &listener)
        accept_all(settings);
      else if (who != &timer)
        connection_ready(who, ready[i].events & ~(uint32_t)EPOLLOUT, ready[i].events & EPOLLOUT);
    }
    struct place *first;
    for (int i = 0; i < DUE_AT_ONCE && (first = schedule_first()) && first->due <= monotonic_ns(); i++)
      connection_due((struct connection *)first);
  }
}

static double number(const char *text, double least, double most) {
  char *rest;
  double value = strtod(text, &rest);
  if (rest == text || *rest || !(value >= least && value <= most)) {
    fprintf(stderr, "refserver: %s is no number from %g to %g\n%s", text, least, most, USAGE);
    exit(2);
  }
  return value;
}

int main(int argc, char **argv) {
  struct settings settings = {
      .ttft = 50 * SECOND / 1000, .itl = 10 * SECOND / 1000, .tokens = 128, .role_chunk = true, .model = "reference"};
  static const struct option options[] = {
      {"port", required_argument, NULL, 'p'},   {"ttft-ms", required_argument, NULL, 'f'},
      {"itl-ms", required_argument, NULL, 'i'}, {"tokens", required_argument, NULL, 't'},
      {"model", required_argument, NULL, 'm'},  {"no-role-chunk", no_argument, NULL, 'r'},
      {NULL, 0, NULL, 0},
  };
  int port = 0;
  for (int option; (option = getopt_long(argc, argv, "", options, NULL)) != -1;) {
    switch (option) {
      case 'p': port = (int)number(optarg, 0, 65535); break;
      case 'f': settings.ttft = (int64_t)(number(optarg, 0, 60000) * 1e6); break;
      case 'i': settings.itl = (int64_t)(number(optarg, 0, 60000) * 1e6); break;
      case 't': settings.tokens = (long)number(optarg, 1, 1000000); break;
      case 'm': settings.model = optarg; break;
      case 'r': settings.role_chunk = false; break;
      default: fputs(USAGE, stderr); return 2;
    }
  }
  if (strpbrk(settings.model, "\"\\") || optind < argc) {
    fputs(USAGE, stderr);
    return 2;
  }
  struct rlimit files = {MOST_CONNECTIONS, MOST_CONNECTIONS};
  setrlimit(RLIMIT_NOFILE, &files);       /* where it is not allowed, fewer clients are */
  prctl(PR_SET_TIMERSLACK, 1UL, 0, 0, 0); /* the kernel may else ring 50 us late */
  struct sigaction action = {.sa_handler = end};
  sigaction(SIGTERM, &action, NULL);
  sigaction(SIGINT, &action, NULL);
  if (!arrival_stamped()) fail("this kernel does not stamp what arrives (SO_TIMESTAMPNS)");
  connection_watch = watch;
  epoll = epoll_create1(EPOLL_CLOEXEC);
  timer = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
  if (epoll < 0 || timer < 0) fail("epoll");
  listener = listen_on(port);
  add(timer, &timer);
  add(listener, &listener);
  run(&settings);
  return 0;
}
