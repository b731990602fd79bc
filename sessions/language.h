/* The command language: one grammar and one parser for `:`, `pare shell` and recipes.
 *
 * A line is a statement: a word that names it, then what its row says.  Words are parted by blanks;
 * "…" holds blanks and commas together (with \" \\ \n \t \r inside); `#` at the start of a word
 * begins a comment.  What is understood, helped with and completed comes from the same rows, and
 * the names of formats and methods from the engine's. */
#ifndef PARE_LANGUAGE_H
#define PARE_LANGUAGE_H
#include "../engine/pare.h"

enum pare_statement_kind {
	/* what a recipe is made of */
	PARE_SAY_PARE,
	PARE_SAY_MODEL,
	PARE_SAY_DATA,
	PARE_SAY_SEED,
	PARE_SAY_SET,
	PARE_SAY_PRUNE,
	PARE_SAY_EXIT,
	PARE_SAY_STEP,
	PARE_SAY_DEVICE,
	PARE_SAY_EXPECT,
	/* commands only */
	PARE_SAY_UNDO,
	PARE_SAY_REDO,
	PARE_SAY_GO,
	PARE_SAY_WRITE,
	PARE_SAY_EXPORT,
	PARE_SAY_MEASURE,
	PARE_SAY_STOP,
	PARE_SAY_MAP,
	PARE_SAY_VIEW,
	PARE_SAY_NOTE,
	PARE_SAY_HELP,
	PARE_SAY_QUIT,
	PARE_N_SAY
};
enum { PARE_IN_RECIPE = 1, PARE_IN_COMMAND = 2 };

struct pare_statement_row {
	const char *name, *args, *help;
	unsigned where;
};
extern const struct pare_statement_row pare_statement_rows[PARE_N_SAY];

struct pare_word {
	const char *text; /* quotes taken off */
	const char *raw;  /* as it stands, raw_len bytes */
	size_t raw_len;
	int line, column; /* from 1; columns count characters */
};

/* Layers as they were named: words of names, numbers (from 1), patterns (`conv_*`, `?`), `op=Conv`,
 * `first`, `last`, `*`, parted by commas.  What is written in quotes is a name and nothing else. */
struct pare_layers {
	const struct pare_word *words;
	int n;
};

/* Which dials a line turns, and where to. */
struct pare_change {
	unsigned named; /* bit i: row i of pare_dial_words; bit PARE_CHANGE_… */
	struct pare_dials to;
};
enum {
	PARE_CHANGE_BLOCK = 27,
	PARE_CHANGE_RANK = 28,
	PARE_CHANGE_EXIT = 29,
	PARE_CHANGE_CHANNELS = 30,
	PARE_CHANGE_SPARSITY = 31
};
void pare_change_apply(const struct pare_change *c, struct pare_dials *d);

/* The dials that are rows: how they are spelt, and where their value is in struct pare_dials. */
struct pare_dial_word {
	enum pare_statement_kind statement; /* SET or PRUNE */
	const char *word;                   /* NULL: the value's name stands alone */
	unsigned uses; /* of a format: PARE_FOR_…; 0 = a method of `family` */
	enum pare_method family;
	size_t at; /* of the uint8_t */
	/* PRUNE: what it is about, of pare_prune_words */
	const char *of;
};
extern const struct pare_dial_word pare_dial_words[]; /* ended by uses 0, family PARE_N_METHODS */
const char *pare_dial_value_name(const struct pare_dial_word *d, int value); /* NULL: no such row */

/* What PRUNE takes away: a share of it, or a block as a whole. */
enum pare_prune {
	PARE_PRUNE_BLOCK,
	PARE_PRUNE_CHANNELS,
	PARE_PRUNE_WEIGHTS,
	PARE_PRUNE_RANK,
	PARE_N_PRUNE
};
struct pare_prune_word {
	const char *of, *share; /* share NULL: all or nothing, rows of PARE_BLOCK */
	size_t at;      /* of the float in struct pare_dials; without a share, of the uint8_t */
	unsigned named; /* its bit of struct pare_change */
};
extern const struct pare_prune_word pare_prune_words[PARE_N_PRUNE];

/* What a recipe may promise. */
enum pare_promise {
	PARE_PROMISE_ACCURACY,
	PARE_PROMISE_DROP,
	PARE_PROMISE_BYTES,
	PARE_PROMISE_MACS,
	PARE_N_PROMISES
};
struct pare_promise_row {
	const char *name, *unit; /* "%" or "" */
	int digits;              /* behind the point, as written */
};
extern const struct pare_promise_row pare_promise_rows[PARE_N_PROMISES];
struct pare_promised {
	bool said;
	double value, tolerance;
};

struct pare_bounds {
	int64_t from, to; /* -1 = not said */
};

struct pare_statement {
	enum pare_statement_kind kind;
	const struct pare_word *word; /* its first */
	struct pare_layers layers;    /* SET, PRUNE, EXIT */
	struct pare_change change;    /* SET, PRUNE, EXIT */
	const char *text;             /* the path of MODEL, DATA, WRITE, EXPORT; a view; "" */
	const char *sha256;           /* MODEL, DATA, EXPECT: 64 digits, NULL = not said */
	const char *cpu;              /* EXPECT: the kind of CPU that promised; NULL = not said */
	struct pare_bounds bounds[2]; /* DATA: by enum pare_split */
	double left, most; /* PRUNE: so much of row `goal` of PARE_GOAL, a share or in its
			      unit; 0 = not said */
	int goal;
	const char *device;           /* PRUNE: the device that counts it; NULL = not said */
	int multiple;                 /* PRUNE: of which the channels that stay are; 0 = not said */
	double spread;                /* PRUNE: what goes of all these weights; 0 = not said */
	uint64_t number;              /* SEED, GO; PARE: the version */
	const struct pare_word *rest; /* DEVICE: names; NOTE: what is said; MODEL: shapes */
	int n_rest;
	unsigned steps; /* STEP: those named, bit i = row i; 0 = none shall be */
	int as;         /* EXPORT: row of PARE_FILE */
	bool on;        /* MAP: resume */
	struct pare_promised promised[PARE_N_PROMISES];
};

/* Statements and the text that they point into: one owner, one free. */
struct pare_script {
	int n;
	struct pare_statement *statements;
	struct pare_word *words;
	char *text, *unquoted;
};

/* `name` is what errors call the text (a file; NULL for a command line, which has no lines to
 * count). PARE_E_FORMAT: a word that is not known; the sentence says where, the nearest word that
 * is, and what may stand there. */
PARE_MUST_CHECK enum pare_status pare_script_parse(const char *text, size_t len, const char *name,
	unsigned where, struct pare_script *out, struct pare_err *err);
void pare_script_free(struct pare_script *s);

/* Marks picked[i] for each layer that is named ([n_layers], added to what is marked); *n counts the
 * layers named.  PARE_E_ARG: a name or pattern that fits none; the sentence has the nearest. */
PARE_MUST_CHECK enum pare_status pare_layers_pick(const struct pare_layers *l,
	const struct pare_model *m, const char *name, bool *picked, int *n, struct pare_err *err);
/* A word as it must be written to be read as this name: quoted if need be.  malloc'ed; NULL: no
 * memory. */
char *pare_word_quote(const char *name);

/* ---- completion --------------------------------------------------------------------------------
 */

struct pare_words { /* a list that grows */
	char **text;
	int n, cap;
};
void pare_words_free(struct pare_words *w);

/* What may stand where line[len] ends: candidates in *out (emptied first), and where the word that
 * they replace begins.  model and devices (ended by NULL) may be NULL. */
void pare_language_complete(const char *line, size_t len, const struct pare_model *model,
	const char *const *devices, struct pare_words *out, size_t *start);

/* Edit distance (insert, drop, replace, swap neighbours), letters' case set aside. */
int pare_word_distance(const char *a, const char *b);

#endif
