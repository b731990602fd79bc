#include "cli.h"
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

static const char *const result_names[] = { "passed", "failed", "unsupported" };

struct tally {
	int n[3];
	json_t *cases; /* NULL when printing */
};

static int by_name(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

static bool is_case(const char *dir)
{
	char path[4096];
	struct stat st;

	return snprintf(path, sizeof path, "%s/model.onnx", dir) < (int)sizeof path &&
	       !stat(path, &st);
}

static void run_case(const char *dir, struct tally *t)
{
	char why[256] = "";
	enum pare_case_result r = pare_conform(dir, why);
	const char *name = strrchr(dir, '/');

	name = name && name[1] ? name + 1 : dir;
	t->n[r]++;
	if (t->cases)
		json_array_append_new(
			t->cases, json_pack("{s:s s:s s:s s:s}", "name", name, "result",
					  result_names[r], "why", why, "path", dir));
	else if (r != PARE_CASE_PASSED)
		printf("%-11s %-48s %s\n", result_names[r], name, why);
}

/* Subfolders of dir, sorted; NULL-terminated, owned by the caller. */
static char **subfolders(const char *dir)
{
	DIR *d = opendir(dir);
	size_t n = 0;
	char **list = calloc(1, sizeof *list);

	for (struct dirent *e; d && list && (e = readdir(d));) {
		char path[4096];
		struct stat st;
		char **more;

		if (e->d_name[0] == '.' ||
			snprintf(path, sizeof path, "%s/%s", dir, e->d_name) >= (int)sizeof path ||
			stat(path, &st) || !S_ISDIR(st.st_mode))
			continue;
		more = realloc(list, (n + 2) * sizeof *list);
		if (!more || !(more[n] = strdup(path)))
			break;
		list = more;
		list[++n] = NULL;
	}
	if (d)
		closedir(d);
	if (list)
		qsort(list, n, sizeof *list, by_name);
	return list;
}

static void walk(const char *dir, int depth, struct tally *t)
{
	char **list;

	if (is_case(dir)) {
		run_case(dir, t);
		return;
	}
	list = depth < 16 ? subfolders(dir) : NULL;
	for (char **p = list; p && *p; p++) {
		walk(*p, depth + 1, t);
		free(*p);
	}
	free(list);
}

static int run_conform(const struct cli_args *a)
{
	struct tally t = { .cases = cli_common.json ? json_array() : NULL };
	int code;

	for (int i = 0; i < a->n; i++)
		walk(a->word[i], 0, &t);
	if (!(t.n[0] + t.n[1] + t.n[2])) {
		json_decref(t.cases);
		return cli_usage("no test case under %s: a case is a folder with model.onnx and "
				 "test_data_set_0/",
			a->word[0]);
	}
	code = t.n[PARE_CASE_FAILED] ? CLI_FAILED : CLI_OK;
	if (t.cases)
		return cli_json(json_pack("{s:i s:i s:i s:o}", "passed", t.n[0], "failed", t.n[1],
					"unsupported", t.n[2], "cases", t.cases),
			code);
	printf("%d passed, %d failed, %d unsupported\n", t.n[0], t.n[1], t.n[2]);
	return code;
}

const struct cli_command cli_conform = {
	.name = "conform",
	.args = "DIR…",
	.help = "run ONNX test cases: folders of model.onnx + test_data_set_N/, at any depth",
	.min_words = 1,
	.max_words = -1,
	.run = run_conform,
};
