/* What follows the word that names a statement: each reads it into s. */
#ifndef PARE_STATEMENTS_H
#define PARE_STATEMENTS_H
#include "parser.h"

typedef enum pare_status pare_say_fn(struct pare_parser *p, struct pare_statement *s);

/* plan_statements.c */
pare_say_fn pare_say_set, pare_say_prune, pare_say_exit, pare_say_step;
/* statements.c */
pare_say_fn pare_say_pare, pare_say_model, pare_say_data, pare_say_number, pare_say_devices,
	pare_say_expect, pare_say_nothing, pare_say_file, pare_say_export, pare_say_map,
	pare_say_word, pare_say_rest;

#endif
