#include "connection.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "answer.h"
#include "arrival.h"
#include "clock.h"
#include "http.h"
#include "json.h"
#include "truth.h"

#define READ_BYTES (64 << 10)
#define MOST_TOKENS 1000000

void (*connection_watch)(struct connection *, bool);

struct connection_state {
  const struct settings *settings;
  struct text in, out;
  int64_t arrival; /* of the first byte in `in` */
  bool busy, closing, watched;
  struct answer answer;
  struct completion completion;
  long token; /* the next one to send */
};

struct connection *connection_new(int fd, const struct settings *settings) {
  int yes = 1;
  setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
  arrival_watch(fd);
  struct connection *c = calloc(1, sizeof *c);
  if (c) c->state = calloc(1, sizeof *c->state);
  if (!c || !c->state) abort();
  c->fd = fd;
  c->state->settings = settings;
  return c;
}

static bool gone(struct connection *c) {
  struct connection_state *s = c->state;
  if (s->busy && s->answer.stream) truth_ended(&s->completion, true);
  schedule_remove(&c->place);
  close(c->fd);
  free(s->in.bytes);
  free(s->out.bytes);
  free(s);
  free(c);
  return false;
}

static bool flush(struct connection *c) {
  struct connection_state *s = c->state;
  size_t sent = 0;
  while (sent < s->out.length) {
    ssize_t n = send(c->fd, s->out.bytes + sent, s->out.length - sent, MSG_NOSIGNAL | MSG_DONTWAIT);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0 && errno != EAGAIN) return false;
    if (n < 0) break;
    sent += (size_t)n;
  }
  s->out.length -= sent;
  if (sent && s->out.length) memmove(s->out.bytes, s->out.bytes + sent, s->out.length);
  bool wait = s->out.length > 0;
  if (wait && !s->watched) truth_stalled();
  if (wait != s->watched) connection_watch(c, s->watched = wait);
  return true;
}

static void complete(struct connection *c, const struct http_request *request, bool chat) {
  struct connection_state *s = c->state;
  struct request_body body = json_request(request->body, request->body_length);
  if (!body.valid) {
    answer_error(&s->out, 400, "the body is not a JSON object");
    return;
  }
  static unsigned long number;
  long tokens = body.max_tokens < 0 ? s->settings->tokens : body.max_tokens;
  s->answer = (struct answer){
      .chat = chat,
      .stream = body.stream,
      .role_chunk = s->settings->role_chunk,
      .include_usage = body.include_usage,
      .continuous_usage = body.continuous_usage,
      .number = ++number,
      .created = (long)(clock_ns(CLOCK_REALTIME) / SECOND),
      .prompt_tokens = body.prompt_words,
      .tokens = tokens < 1 ? 1 : tokens > MOST_TOKENS ? MOST_TOKENS : tokens,
      .model = s->settings->model,
  };
  s->busy = true;
  s->token = 0;
  int64_t first = s->arrival + s->settings->ttft;
  if (body.stream) {
    truth_arrived(&s->completion, s->arrival);
    answer_head(&s->out);
  }
  schedule_put(&c->place, body.stream ? first : first + (s->answer.tokens - 1) * s->settings->itl);
}

static void answer_truth(struct text *out, bool figures) {
  size_t length;
  char *text = truth_json(&length, figures);
  if (!text) abort();
  answer_json(out, 200, text, length);
  free(text);
}

static void respond(struct connection *c, const struct http_request *request) {
  struct connection_state *s = c->state;
  if (http_is(request, "POST", "/v1/chat/completions")) {
    complete(c, request, true);
  } else if (http_is(request, "POST", "/v1/completions")) {
    complete(c, request, false);
  } else if (http_is(request, "GET", "/v1/models")) {
    answer_models(&s->out, s->settings->model);
  } else if (http_is(request, "GET", "/health") || http_is(request, "GET", "/ping")) {
    answer_json(&s->out, 200, "", 0);
  } else if (http_is(request, "GET", "/version")) {
    answer_json(&s->out, 200, "{\"version\":\"refserver\"}", strlen("{\"version\":\"refserver\"}"));
  } else if (http_is(request, "GET", "/truth") || http_is(request, "GET", "/counters")) {
    answer_truth(&s->out, request->path[1] == 't');
  } else if (http_is(request, "POST", "/truth/reset")) {
    answer_truth(&s->out, false); /* what there was */
    truth_reset();
  } else {
    answer_error(&s->out, 404, "no such path");
  }
}

/* Answers the requests that are whole, one after the other. */
static bool serve(struct connection *c) {
  struct connection_state *s = c->state;
  while (!s->busy && s->in.length && !s->closing) {
    struct http_request request;
    text_add(&s->in, "", 1); /* numbers in it end before the buffer does */
    int status = http_parse(s->in.bytes, --s->in.length, &request);
    if (!status) break;
    if (status == 1) {
      s->closing = request.close;
      respond(c, &request);
      s->in.length -= request.total;
      memmove(s->in.bytes, s->in.bytes + request.total, s->in.length);
    } else {
      answer_error(&s->out, status, "the request is refused");
      s->closing = true;
    }
  }
  if (!flush(c)) return gone(c);
  return s->closing && !s->busy && !s->out.length ? gone(c) : true;
}

bool connection_ready(struct connection *c, bool readable, bool writable) {
  struct connection_state *s = c->state;
  static char bytes[READ_BYTES];
  if (writable && !flush(c)) return gone(c);
  if (readable) {
    if (!s->in.length) s->arrival = arrival_of(c->fd);
    ssize_t n = recv(c->fd, bytes, sizeof bytes, MSG_DONTWAIT);
    if (!n || (n < 0 && errno != EAGAIN && errno != EINTR)) return gone(c);
    if (n > 0) text_add(&s->in, bytes, (size_t)n);
    if (s->in.length > MOST_HEAD + MOST_BODY) return gone(c);
  }
  return serve(c);
}

bool connection_due(struct connection *c) {
  struct connection_state *s = c->state;
  const struct settings *settings = s->settings;
  if (!s->answer.stream) {
    schedule_remove(&c->place);
    answer_whole(&s->out, &s->answer);
    s->busy = false;
    return serve(c);
  }
  answer_token(&s->out, &s->answer, s->token);
  truth_event(&s->completion, monotonic_ns(), c->place.due); /* before the write: a client may read during it */
  if (!flush(c)) return gone(c);
  if (++s->token < s->answer.tokens) {
    schedule_put(&c->place, s->completion.arrival + settings->ttft + s->token * settings->itl);
    return true;
  }
  schedule_remove(&c->place);
  s->busy = false;
  truth_ended(&s->completion, false);
  return serve(c);
}
