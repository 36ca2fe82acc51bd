/* Requests of HTTP/1.1 as clients of an inference engine send them: a head and, where one is announced, a body. */
#ifndef HTTP_H
#define HTTP_H

#include <stdbool.h>
#include <stddef.h>

#define MOST_HEAD (64 << 10)
#define MOST_BODY (16 << 20)

struct http_request {
  const char *method, *path; /* not terminated */
  size_t method_length, path_length;
  const char *body;
  size_t body_length;
  size_t total; /* bytes of the whole request */
  bool close;   /* the client wants no other request on this connection */
};

/* 1: complete; 0: more bytes are needed; otherwise the HTTP status to refuse it with. */
int http_parse(const char *text, size_t length, struct http_request *request);

bool http_is(const struct http_request *request, const char *method, const char *path);

#endif
