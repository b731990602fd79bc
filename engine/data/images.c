/* A folder of class folders of images.  Classes are the folders in the order of their names.
 * Samples take turns: the first file of each class, the second of each, … so that any range of them
 * is a fair one.  All are stretched to one size. */
#include "../base/err.h"
#include "../base/pool.h"
#include "data.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct item {
	const char *path;
	int label, turn;
};

struct listing {
	int n_classes, n, room;
	const char **classes;
	struct item *item;
};

static bool is_picture(const char *name)
{
	static const char *const tails[] = { ".png", ".jpg", ".jpeg", NULL };

	for (const char *const *t = tails; *t; t++)
		if (data_ends_with(name, *t))
			return true;
	return false;
}

static enum pare_status
add(struct listing *l, const char *path, int label, int turn, struct pare_err *err)
{
	if (l->n == l->room) {
		int room = l->room * 2 + 1024;
		struct item *more =
			room < 1 << 29 ? realloc(l->item, (size_t)room * sizeof *more) : NULL;

		if (!more)
			return pare_nomem(err, path);
		l->item = more;
		l->room = room;
	}
	l->item[l->n++] = (struct item){ path, label, turn };
	return PARE_OK;
}

static int by_turn(const void *a, const void *b)
{
	const struct item *p = a, *q = b;

	return p->turn != q->turn ? p->turn - q->turn : p->label - q->label;
}

static enum pare_status
add_class(struct listing *l, const char *folder, struct pare_arena *a, struct pare_err *err)
{
	char **names;
	int n, before = l->n;
	enum pare_status st = data_list(folder, a, &names, &n, err);

	for (int i = 0; !st && i < n; i++) {
		char *path = is_picture(names[i]) ? data_join(a, folder, names[i]) : NULL;

		if (path)
			st = add(l, path, l->n_classes, l->n - before, err);
		else if (is_picture(names[i]))
			st = pare_nomem(err, folder);
	}
	if (!st && l->n == before)
		st = pare_fail(err, PARE_E_FORMAT,
			"%s: each folder beside it is a class, but this one holds no .png or .jpg",
			folder);
	return st;
}

static enum pare_status
list_all(const char *folder, struct pare_arena *a, struct listing *l, struct pare_err *err)
{
	char **names;
	int n;
	enum pare_status st = data_list(folder, a, &names, &n, err);

	if (!st && !(l->classes = pare_alloc_n(a, (size_t)n, sizeof *l->classes)))
		st = pare_nomem(err, folder);
	for (int i = 0; !st && i < n; i++) {
		char *path = data_join(a, folder, names[i]);

		if (!path)
			return pare_nomem(err, folder);
		if (!data_is_folder(path))
			continue;
		if ((st = add_class(l, path, a, err)))
			return st;
		l->classes[l->n_classes++] = names[i];
	}
	if (!st && l->n)
		qsort(l->item, (size_t)l->n, sizeof *l->item, by_turn);
	return st;
}

struct decode {
	const struct listing *l;
	struct data_picture size;
	bool last;
	unsigned char *out;
};

enum { CHUNK = 16 };

static enum pare_status decode_chunk(void *ctx, int chunk, int worker, struct pare_err *err)
{
	const struct decode *d = ctx;
	size_t bytes = (size_t)d->size.c * (size_t)d->size.h * (size_t)d->size.w;
	enum pare_status st = PARE_OK;

	(void)worker;
	for (int i = chunk * CHUNK; !st && i < d->l->n && i < (chunk + 1) * CHUNK; i++)
		st = data_picture_read(
			d->l->item[i].path, &d->size, d->last, d->out + (size_t)i * bytes, err);
	return st;
}

/* The size that images are brought to: the model's, else that of the first. */
static enum pare_status choose_size(const struct pare_io *input, const char *first,
	struct data_picture *out, bool *last, struct pare_err *err)
{
	const int64_t *d = input ? input->shape.d : NULL;
	struct data_picture p;
	int64_t c, h, w;
	enum pare_status st = data_picture_size(first, &p, err);

	if (st)
		return st;
	*last = false;
	if (!input) {
		*out = p;
		return PARE_OK;
	}
	if (input->shape.n != 4)
		return pare_fail(err, PARE_E_MISMATCH,
			"the model's input '%s' has %d axes; images need four: [N,C,H,W]",
			input->name, input->shape.n);
	*last = d[1] != 1 && d[1] != 3 && (d[3] == 1 || d[3] == 3);
	c = *last ? d[3] : d[1];
	h = *last ? d[1] : d[2];
	w = *last ? d[2] : d[3];
	if (c >= 0 && c != 1 && c != 3)
		return pare_fail(err, PARE_E_MISMATCH,
			"the model's input '%s' has %lld channels; images have 1 or 3", input->name,
			(long long)c);
	if (h > 1 << 14 || w > 1 << 14 || h == 0 || w == 0)
		return pare_fail(err, PARE_E_MISMATCH, "the model's input '%s' is no image size",
			input->name);
	*out = (struct data_picture){ c < 0 ? p.c : (int)c, h < 0 ? p.h : (int)h,
		w < 0 ? p.w : (int)w };
	return PARE_OK;
}

static enum pare_status decode_all(const char *folder, const struct data_want *want,
	const struct listing *l, struct data_set *out, struct pare_err *err)
{
	struct pare_progress_span silent = { 0, 0 };
	struct decode d = { .l = l };
	struct pare_shape shape = { 4, { l->n } }, one = { 1, { l->n } };
	enum pare_status st = choose_size(want->model ? pare_model_input(want->model, 0) : NULL,
		l->item[0].path, &d.size, &d.last, err);
	int32_t *label;
	int64_t axes[] = { d.size.c, d.size.h, d.size.w };

	for (int i = 0; i < 3; i++)
		shape.d[1 + (i + (d.last ? 2 : 0)) % 3] = axes[i];
	if (!st)
		st = data_array_new(folder, PARE_U8, &shape, &out->x, err);
	if (!st)
		st = data_array_new(folder, PARE_I32, &one, &out->y, err);
	if (st)
		return st;
	label = out->y.blob->data;
	for (int i = 0; i < l->n; i++)
		label[i] = l->item[i].label;
	d.out = out->x.blob->data;
	out->classes = l->classes;
	out->n_classes = l->n_classes;
	return pare_parallel((l->n + CHUNK - 1) / CHUNK, decode_chunk, &d, NULL, silent, err);
}

static enum pare_status images_open(const char *path, const struct data_want *want,
	struct data_source *out, struct pare_err *err)
{
	struct listing l = { 0 };
	enum pare_status st = list_all(path, want->arena, &l, err);

	if (!st && !l.n)
		st = pare_fail(err, PARE_E_FORMAT, "%s: holds no images", path);
	if (!st)
		st = decode_all(path, want, &l, &out->samples, err);
	free(l.item);
	return st;
}

/* A folder in which some folder holds an image. */
static bool images_looks(const struct data_probe *p)
{
	struct pare_arena *a = p->folder ? pare_arena_new() : NULL;
	char **names, **inside, *path;
	bool found = false;
	int n, m;

	if (!a)
		return false;
	if (!data_list(p->path, a, &names, &n, NULL))
		for (int i = 0; !found && i < n; i++) {
			if (!(path = data_join(a, p->path, names[i])) || !data_is_folder(path) ||
				data_list(path, a, &inside, &m, NULL))
				continue;
			for (int k = 0; !found && k < m; k++)
				found = is_picture(inside[k]);
		}
	pare_arena_free(a);
	return found;
}

const struct data_format data_format_images = { "images",
	"a folder of class folders of .png or .jpg", images_looks, images_open };
