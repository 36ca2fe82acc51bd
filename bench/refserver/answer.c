#include "answer.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Common words: one token each, also together, to a byte-pair tokenizer that has seen English. */
static const char *const WORDS[] = {" the", " of", " and", " to", " in", " is", " it", " for"};
#define WORD(token) WORDS[(size_t)(token) % (sizeof WORDS / sizeof *WORDS)]

static void make_room(struct text *text, size_t more) {
  if (text->length + more <= text->room) return;
  text->room = (text->length + more) * 2;
  text->bytes = realloc(text->bytes, text->room);
  if (!text->bytes) abort();
}

void text_add(struct text *text, const char *bytes, size_t length) {
  make_room(text, length);
  memcpy(text->bytes + text->length, bytes, length);
  text->length += length;
}

void text_format(struct text *text, const char *format, ...) {
  make_room(text, 512);
  va_list arguments, again;
  va_start(arguments, format);
  va_copy(again, arguments);
  size_t length = (size_t)vsnprintf(text->bytes + text->length, text->room - text->length, format, arguments);
  if (text->length + length >= text->room) {
    make_room(text, length + 1);
    vsnprintf(text->bytes + text->length, length + 1, format, again);
  }
  va_end(again);
  va_end(arguments);
  text->length += length;
}

static const char *reason(int status) {
  switch (status) {
    case 200: return "OK";
    case 404: return "Not Found";
    case 411: return "Length Required";
    case 413: return "Content Too Large";
    case 431: return "Request Header Fields Too Large";
    default: return "Bad Request";
  }
}

void answer_json(struct text *out, int status, const char *body, size_t length) {
  text_format(out, "HTTP/1.1 %d %s\r\ncontent-type: application/json\r\ncontent-length: %zu\r\n\r\n", status,
              reason(status), length);
  text_add(out, body, length);
}

void answer_error(struct text *out, int status, const char *message) {
  struct text body = {0};
  text_format(&body, "{\"error\":{\"message\":\"%s\",\"code\":%d}}", message, status);
  answer_json(out, status, body.bytes, body.length);
  free(body.bytes);
}

void answer_models(struct text *out, const char *model) {
  struct text body = {0};
  text_format(&body,
              "{\"object\":\"list\",\"data\":[{\"id\":\"%s\",\"object\":\"model\",\"created\":0,"
              "\"owned_by\":\"refserver\",\"root\":\"%s\",\"parent\":null,\"max_model_len\":131072}]}",
              model, model);
  answer_json(out, 200, body.bytes, body.length);
  free(body.bytes);
}

void answer_head(struct text *out) {
  text_format(out, "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream; charset=utf-8\r\ncache-control: no-cache\r\n"
                   "transfer-encoding: chunked\r\n\r\n");
}

static void begin(struct text *event, const struct answer *a, const char *object) {
  text_format(event, "{\"id\":\"%s-%016lx\",\"object\":\"%s\",\"created\":%ld,\"model\":\"%s\",\"choices\":[",
              a->chat ? "chatcmpl" : "cmpl", a->number, object, a->created, a->model);
}

static void usage(struct text *event, const struct answer *a, long tokens) {
  text_format(event, ",\"usage\":{\"prompt_tokens\":%ld,\"total_tokens\":%ld,\"completion_tokens\":%ld}",
              a->prompt_tokens, a->prompt_tokens + tokens, tokens);
}

static void chunk(struct text *out, const struct text *event) {
  text_format(out, "%zx\r\ndata: ", event->length + strlen("data: \n\n"));
  text_add(out, event->bytes, event->length);
  text_add(out, "\n\n\r\n", 4);
}

static const char *object_of(const struct answer *a) { return a->chat ? "chat.completion.chunk" : "text_completion"; }

static void content(struct text *out, struct text *event, const struct answer *a, long token) {
  bool last = token + 1 == a->tokens;
  const char *finish = last ? "\"length\"" : "null";
  event->length = 0;
  begin(event, a, object_of(a));
  if (a->chat)
    text_format(event, "{\"index\":0,\"delta\":{\"content\":\"%s\"},\"logprobs\":null,\"finish_reason\":%s}]",
                WORD(token), finish);
  else
    text_format(event, "{\"index\":0,\"text\":\"%s\",\"logprobs\":null,\"finish_reason\":%s,\"stop_reason\":null}]",
                WORD(token), finish);
  if (a->continuous_usage) usage(event, a, token + 1);
  text_add(event, "}", 1);
  chunk(out, event);
}

void answer_token(struct text *out, const struct answer *a, long token) {
  static struct text event;
  if (!token && a->chat && a->role_chunk) {
    event.length = 0;
    begin(&event, a, object_of(a));
    text_format(&event, "{\"index\":0,\"delta\":{\"role\":\"assistant\",\"content\":\"\"},\"logprobs\":null,"
                        "\"finish_reason\":null}]");
    if (a->continuous_usage) usage(&event, a, 0);
    text_add(&event, "}", 1);
    chunk(out, &event);
  }
  content(out, &event, a, token);
  if (token + 1 < a->tokens) return;
  if (a->include_usage) {
    event.length = 0;
    begin(&event, a, object_of(a));
    text_add(&event, "]", 1);
    usage(&event, a, a->tokens);
    text_add(&event, "}", 1);
    chunk(out, &event);
  }
  event.length = 0;
  text_add(&event, "[DONE]", 6);
  chunk(out, &event);
  text_add(out, "0\r\n\r\n", 5);
}

void answer_whole(struct text *out, const struct answer *a) {
  struct text body = {0};
  begin(&body, a, a->chat ? "chat.completion" : "text_completion");
  text_format(&body, "{\"index\":0,%s", a->chat ? "\"message\":{\"role\":\"assistant\",\"content\":\"" : "\"text\":\"");
  for (long token = 0; token < a->tokens; token++) text_add(&body, WORD(token), strlen(WORD(token)));
  text_format(&body, "\"%s,\"logprobs\":null,\"finish_reason\":\"length\"}]", a->chat ? "}" : "");
  usage(&body, a, a->tokens);
  text_add(&body, "}", 1);
  answer_json(out, 200, body.bytes, body.length);
  free(body.bytes);
}
