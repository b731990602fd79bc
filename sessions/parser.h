/* A parser walks the words of one statement.  What it would accept where it stands it offers, one
 * by one: that is what an error tells of, and what completion completes. */
#ifndef PARE_PARSER_H
#define PARE_PARSER_H
#include "words.h"

struct pare_parser {
	const char *name; /* of the text, for errors; NULL = a command line */
	unsigned where;
	const struct pare_word *word;
	int n, at;
	struct pare_offers offers; /* at word `at` */
	bool completing;           /* the last word is the one to complete: nothing matches it */
	struct pare_err *err;
};

bool pare_parse_more(const struct pare_parser *p);
/* The word here may be matched: it is there, and is not the one still being typed. */
bool pare_parse_ready(const struct pare_parser *p);
void pare_parse_advance(struct pare_parser *p);
void pare_parse_offer(struct pare_parser *p, const char *word);
/* Offer `name`, of one word or two; true: it stands here, and is behind us now. */
bool pare_parse_accept(struct pare_parser *p, const char *name);
/* The second word of a name whose first stands here; NULL: it has but one, or another first. */
const char *pare_parse_half(const struct pare_parser *p, const char *name);
/* Any word at all. */
enum pare_status
pare_parse_take(struct pare_parser *p, const char *what, const struct pare_word **out);
enum pare_status pare_parse_path(struct pare_parser *p, struct pare_statement *s);
/* "sha256:" and 64 digits; leaves *out when the word is something else. */
enum pare_status pare_parse_sha(struct pare_parser *p, const char **out, bool *found);
/* Numbers: whole ones, whatever stands behind them; real ones with nothing but `unit` behind. */
bool pare_parse_whole(const char *s, char **end, int64_t *out);
bool pare_parse_real(const char *s, const char *unit, double *out);

/* "'WORD' …" about the word here. */
enum pare_status
pare_parse_wrong(struct pare_parser *p, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* Nothing that was offered fits the word here, or there is no word. */
enum pare_status pare_parse_unexpected(struct pare_parser *p);

#endif
