#include "../../sessions/store.h"
#include "cli.h"
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static json_t *info_json(const struct pare_session_info *i)
{
	json_t *o = json_pack("{s:s s:s s:s s:s s:i s:i s:o s:o s:I s:I}", "name", i->name, "path",
		i->path, "model", i->model, "data", i->data, "plans", i->n_plans, "results",
		i->n_results, "value", cli_real_json(i->value), "drop", cli_real_json(i->drop),
		"bytes", (json_int_t)i->bytes, "used", (json_int_t)i->used);

	json_object_set_new(o, "owner", i->owner ? json_integer(i->owner) : json_null());
	json_object_set_new(o, "problem", i->problem ? json_string(i->problem) : json_null());
	return o;
}

static void when(int64_t used, char text[32])
{
	time_t t = (time_t)used;
	struct tm tm;

	strftime(text, 32, "%Y-%m-%d %H:%M", localtime_r(&t, &tm));
}

static int list(void)
{
	struct pare_session_list l;
	json_t *rows = cli_common.json ? json_array() : NULL;
	struct pare_err err;
	int w = 8;

	if (pare_session_list(NULL, &l, &err))
		return cli_bad(&err);
	for (int i = 0; i < l.n; i++)
		w = (int)strlen(l.session[i].name) > w ? (int)strlen(l.session[i].name) : w;
	if (!rows && !l.n)
		puts("no session yet: pare MODEL --data D starts one");
	else if (!rows)
		printf("%-16s  %-*s  plans  model, data\n", "last used", w, "session");
	for (int i = 0; i < l.n; i++) {
		const struct pare_session_info *s = &l.session[i];
		char text[32];

		if (rows) {
			json_array_append_new(rows, info_json(s));
			continue;
		}
		when(s->used, text);
		printf("%-16s  %-*s  %5d  %s%s%s%s%s\n", text, w, s->name, s->n_plans, s->model,
			*s->data ? ", " : "", s->data, s->problem ? "; " : "",
			s->problem ? s->problem : "");
	}
	pare_session_list_free(&l);
	return rows ? cli_json(json_pack("{s:o}", "sessions", rows), CLI_OK) : CLI_OK;
}

static int show(const char *path)
{
	struct pare_session_info i;
	struct pare_err err;
	int code = CLI_OK;
	char text[32];

	if (pare_session_look(path, &i, &err))
		return cli_bad(&err);
	if (cli_common.json)
		code = cli_json(info_json(&i), CLI_OK);
	else {
		when(i.used, text);
		printf("session   %s\nmodel     %s\ndata      %s\nlast used %s\nplans     %d\n"
		       "results   %d\nsize      %.1f MB\n",
			i.path, i.model, *i.data ? i.data : "none", text, i.n_plans, i.n_results,
			1e-6 * (double)i.bytes);
		if (!isnan(i.value))
			printf("accuracy  %.2f %%, %.2f points lost\n", i.value, i.drop);
		if (i.owner)
			printf("open in   process %ld\n", i.owner);
		if (i.problem)
			printf("problem   %s\n", i.problem);
	}
	pare_session_info_free(&i);
	return code;
}

static int run_session(const struct cli_args *a)
{
	const char *verb = a->n ? a->word[0] : "list";
	struct pare_err err;
	char *path;
	int code = CLI_OK;

	if (!strcmp(verb, "list") && a->n <= 1)
		return list();
	if ((strcmp(verb, "show") && strcmp(verb, "rm")) || (a->n < 2 && !strcmp(verb, "rm")))
		return cli_usage("usage: pare session list | show [NAME] | rm NAME");
	if (pare_session_find(NULL, a->n > 1 ? a->word[1] : NULL, &path, &err))
		return cli_bad(&err);
	if (!strcmp(verb, "show"))
		code = show(path);
	else if (pare_session_remove(path, &err))
		code = cli_bad(&err);
	else if (cli_common.json)
		code = cli_json(json_pack("{s:s}", "removed", path), CLI_OK);
	else
		printf("removed %s\n", path);
	free(path);
	return code;
}

const struct cli_command cli_session = {
	.name = "session",
	.args = "[list | show [NAME] | rm NAME]",
	.help = "sessions kept on this machine: list (or nothing) names them, show tells of one or "
		"of "
		"the last, rm removes one",
	.min_words = 0,
	.max_words = 2,
	.run = run_session,
};
