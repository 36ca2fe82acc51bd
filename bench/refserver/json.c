#include "json.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#define MOST_DEPTH 64

struct scanner {
  const char *at, *end;
  struct request_body *body;
  bool broken;
};

static void blank(struct scanner *s) {
  while (s->at < s->end && strchr(" \t\r\n", *s->at)) s->at++;
}

static bool next_is(struct scanner *s, char wanted) {
  blank(s);
  if (s->at < s->end && *s->at == wanted) {
    s->at++;
    return true;
  }
  return false;
}

/* Passes a string and gives its inside, escapes untouched. */
static void string(struct scanner *s, const char **inside, size_t *length) {
  *inside = ++s->at;
  while (s->at < s->end && *s->at != '"') s->at += *s->at == '\\' ? 2 : 1;
  if (s->at >= s->end) {
    s->broken = true;
    *length = 0;
    return;
  }
  *length = (size_t)(s->at++ - *inside);
}

static long words(const char *text, size_t length) {
  long count = 0;
  bool within = false;
  for (size_t i = 0; i < length; i++) {
    bool space = isspace((unsigned char)text[i]) || (text[i] == '\\' && i + 1 < length && strchr("nrt", text[i + 1]));
    if (space && text[i] == '\\') i++;
    if (!space && !within) count++;
    within = !space;
  }
  return count;
}

static bool named(const char *key, size_t length, const char *name) {
  return length == strlen(name) && !memcmp(key, name, length);
}

/* A value; `key` is the name that it or the list it is in stands under. */
static void value(struct scanner *s, const char *key, size_t key_length, int depth) {
  blank(s);
  if (s->at >= s->end || depth > MOST_DEPTH) {
    s->broken = true;
    return;
  }
  if (*s->at == '"') {
    const char *inside;
    size_t length;
    string(s, &inside, &length);
    if (named(key, key_length, "prompt") || named(key, key_length, "content") || named(key, key_length, "text"))
      s->body->prompt_words += words(inside, length);
  } else if (*s->at == '{' || *s->at == '[') {
    char close = *s->at++ == '{' ? '}' : ']';
    if (next_is(s, close)) return;
    do {
      const char *name = key;
      size_t length = key_length;
      if (close == '}') {
        blank(s);
        if (s->at >= s->end || *s->at != '"') s->broken = true;
        if (s->broken) return;
        string(s, &name, &length);
        if (!next_is(s, ':')) s->broken = true;
      }
      if (s->broken) return;
      value(s, name, length, depth + 1);
    } while (!s->broken && next_is(s, ','));
    if (!next_is(s, close)) s->broken = true;
  } else {
    const char *start = s->at;
    while (s->at < s->end && !strchr(",]} \t\r\n", *s->at)) s->at++;
    size_t length = (size_t)(s->at - start);
    if (!length) s->broken = true;
    bool yes = named(start, length, "true");
    if (depth == 1 && named(key, key_length, "stream")) s->body->stream = yes;
    if (depth == 2 && named(key, key_length, "include_usage")) s->body->include_usage = yes;
    if (depth == 2 && named(key, key_length, "continuous_usage_stats")) s->body->continuous_usage = yes;
    if (depth == 1 && isdigit((unsigned char)*start) && length < 10) {
      if (named(key, key_length, "max_completion_tokens")) s->body->max_tokens = strtol(start, NULL, 10);
      if (named(key, key_length, "max_tokens") && s->body->max_tokens < 0) s->body->max_tokens = strtol(start, NULL, 10);
    }
  }
}

struct request_body json_request(const char *text, size_t length) {
  struct request_body body = {.max_tokens = -1};
  struct scanner s = {.at = text, .end = text + length, .body = &body};
  blank(&s);
  bool object = s.at < s.end && *s.at == '{';
  if (object) value(&s, "", 0, 0);
  blank(&s);
  body.valid = object && !s.broken && s.at == s.end;
  return body;
}
