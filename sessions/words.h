/* Inside the language: text to words, and words to a statement. */
#ifndef PARE_WORDS_H
#define PARE_WORDS_H
#include "language.h"

/* Split into words.  words: malloc'ed, *n of them, their text in *unquoted (malloc'ed too).
 * `lenient`: a quote that is not closed ends with the text, as it does while someone types. */
PARE_MUST_CHECK enum pare_status pare_words_split(const char *text, size_t len, const char *name,
	bool lenient, struct pare_word **words, int *n, char **unquoted, struct pare_err *err);

/* "r.pare line 3, column 8: …"; returns `code`. */
enum pare_status pare_word_fail(struct pare_err *err, enum pare_status code, const char *name,
	const struct pare_word *at, const char *fmt, ...) __attribute__((format(printf, 5, 6)));

/* Of `n` known words the one nearest to `word`; NULL when none is near. */
const char *pare_word_nearest(const char *word, const char *const *known, int n);

/* A word fit for a sentence: control characters become '?', what is long is cut. */
const char *pare_word_show(const char *text, char buf[64]);

/* What the grammar would accept as the last of these words, whatever that word is; false when an
 * earlier word is wrong already. */
struct pare_offers {
	const char *text[96];
	int n;
	bool layers, devices, files; /* and what is no fixed word */
};
bool pare_statement_offers(
	const struct pare_word *words, int n, unsigned where, struct pare_offers *out);

bool pare_words_add(struct pare_words *w, const char *text);

#endif
