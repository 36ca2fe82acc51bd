/* The little of JSON that the server must understand of a request: no tree is built. */
#ifndef JSON_H
#define JSON_H

#include <stdbool.h>
#include <stddef.h>

struct request_body {
  bool valid;  /* an object that closes where the body ends */
  bool stream, include_usage, continuous_usage;
  long max_tokens;   /* max_completion_tokens or max_tokens; -1: not asked for */
  long prompt_words; /* in "prompt" and in every "content" (or "text" within it) */
};

struct request_body json_request(const char *text, size_t length);

#endif
