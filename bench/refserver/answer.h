/* What the server says: vLLM's shape of an OpenAI-compatible stream, one HTTP chunk an event. */
#ifndef ANSWER_H
#define ANSWER_H

#include <stdbool.h>
#include <stddef.h>

struct text {
  char *bytes;
  size_t length, room;
};

/* What the completion that is asked for looks like. */
struct answer {
  bool chat, stream, role_chunk, include_usage, continuous_usage;
  unsigned long number;
  long created, prompt_tokens, tokens;
  const char *model;
};

void text_add(struct text *text, const char *bytes, size_t length);
void text_format(struct text *text, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* A whole response with a JSON body. */
void answer_json(struct text *out, int status, const char *body, size_t length);
void answer_error(struct text *out, int status, const char *message);
void answer_models(struct text *out, const char *model);

/* The head of a streamed response; then token after token: before the first an event with the role, if there is to be
 * one, and with the last the finish reason, the usage if asked for, [DONE], and the end of the body. */
void answer_head(struct text *out);
void answer_token(struct text *out, const struct answer *answer, long token);

/* The whole of a completion that is not streamed. */
void answer_whole(struct text *out, const struct answer *answer);

#endif
