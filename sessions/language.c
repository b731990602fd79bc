/* From text to statements: which row a line is of, and scripts of them. */
#include "statements.h"
#include <stdlib.h>
#include <string.h>

/* clang-format off */
static pare_say_fn *const parsers[PARE_N_SAY] = {
	[PARE_SAY_PARE] = pare_say_pare, [PARE_SAY_MODEL] = pare_say_model, [PARE_SAY_DATA] = pare_say_data,
	[PARE_SAY_SEED] = pare_say_number, [PARE_SAY_SET] = pare_say_set, [PARE_SAY_PRUNE] = pare_say_prune,
	[PARE_SAY_EXIT] = pare_say_exit, [PARE_SAY_STEP] = pare_say_step,
	[PARE_SAY_DEVICE] = pare_say_devices, [PARE_SAY_EXPECT] = pare_say_expect,
	[PARE_SAY_UNDO] = pare_say_nothing, [PARE_SAY_REDO] = pare_say_nothing, [PARE_SAY_GO] = pare_say_number, [PARE_SAY_WRITE] = pare_say_file,
	[PARE_SAY_EXPORT] = pare_say_export, [PARE_SAY_MEASURE] = pare_say_nothing, [PARE_SAY_STOP] = pare_say_nothing, [PARE_SAY_MAP] = pare_say_map,
	[PARE_SAY_VIEW] = pare_say_word, [PARE_SAY_NOTE] = pare_say_rest, [PARE_SAY_HELP] = pare_say_nothing,
	[PARE_SAY_QUIT] = pare_say_nothing,
};
/* clang-format on */

/* Which row the first word means; in commands the beginning of a name will do when it is the only
 * one (`:q`, `:w r.pare`). -1: none. */
static int find_row(struct pare_parser *p)
{
	const char *s = p->word[0].text;
	int found = -1, n = 0;

	for (int i = 0; i < PARE_N_SAY; i++)
		if (pare_statement_rows[i].where & p->where &&
			pare_parse_accept(p, pare_statement_rows[i].name))
			return i;
	if (!(p->where & PARE_IN_COMMAND) || !pare_parse_ready(p) || !*s)
		return -1;
	for (int i = 0; i < PARE_N_SAY; i++)
		if (pare_statement_rows[i].where & p->where &&
			!strncmp(pare_statement_rows[i].name, s, strlen(s))) {
			found = i;
			n++;
		}
	if (n != 1)
		return -1;
	pare_parse_advance(p);
	return found;
}

static enum pare_status parse_statement(struct pare_parser *p, struct pare_statement *out)
{
	struct pare_statement s = {
		.word = p->word, .text = "", .bounds = { { -1, -1 }, { -1, -1 } }
	};
	int row = find_row(p);
	enum pare_status st;

	if (row < 0) {
		for (int i = 0; i < PARE_N_SAY && pare_parse_ready(p); i++)
			if (!strcmp(pare_statement_rows[i].name, p->word[0].text))
				return p->where & PARE_IN_RECIPE
					       ? pare_parse_wrong(p,
							 "is a command; it has no place in a "
							 "recipe")
					       : pare_parse_wrong(p,
							 "belongs in a recipe; a workbench keeps "
							 "the model "
							 "and the data it was opened with");
		return pare_parse_unexpected(p);
	}
	s.kind = (enum pare_statement_kind)row;
	st = parsers[row](p, &s);
	if (!st && pare_parse_more(p))
		st = pare_parse_unexpected(p);
	if (!st)
		*out = s;
	return st;
}

enum pare_status pare_script_parse(const char *text, size_t len, const char *name, unsigned where,
	struct pare_script *out, struct pare_err *err)
{
	struct pare_script s = { .text = malloc(len + 1) };
	enum pare_status st = s.text ? PARE_OK : pare_nomem(err, "a text");
	int n_words = 0;

	if (!st) {
		memcpy(s.text, text, len);
		s.text[len] = 0;
		st = pare_words_split(
			s.text, len, name, false, &s.words, &n_words, &s.unquoted, err);
	}
	if (!st && !(s.statements = calloc((size_t)n_words + 1, sizeof *s.statements)))
		st = pare_nomem(err, "the statements of a text");
	for (int i = 0, n; !st && i < n_words; i += n) {
		struct pare_parser p = {
			.name = name, .where = where, .word = s.words + i, .err = err
		};

		for (n = 1; i + n < n_words && s.words[i + n].line == s.words[i].line;)
			n++;
		p.n = n;
		if (!(st = parse_statement(&p, &s.statements[s.n])))
			s.n++;
	}
	if (st) {
		pare_script_free(&s);
		return st;
	}
	*out = s;
	return PARE_OK;
}

void pare_script_free(struct pare_script *s)
{
	free(s->statements);
	free(s->words);
	free(s->text);
	free(s->unquoted);
	*s = (struct pare_script){ 0 };
}

bool pare_statement_offers(
	const struct pare_word *words, int n, unsigned where, struct pare_offers *out)
{
	struct pare_parser p = { .where = where, .word = words, .n = n, .completing = true };
	struct pare_statement s;

	if (!parse_statement(&p, &s) || p.at != n - 1)
		return false;
	*out = p.offers;
	return true;
}
