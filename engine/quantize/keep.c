#include "keep.h"
#include "quantize.h"
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

enum { MOST_BYTES = 256 << 20 };

struct kept {
	char key[PARE_SHA_HEX];
	void *data;
	size_t len;
	bool told;
};

struct pare_keep {
	atomic_int refs;
	pthread_mutex_t lock;
	struct kept *kept; /* the oldest first */
	int n;
	size_t bytes;
};

struct pare_keep *pare_keep_new(void)
{
	struct pare_keep *k = calloc(1, sizeof *k);

	if (k && pthread_mutex_init(&k->lock, NULL)) {
		free(k);
		k = NULL;
	}
	if (k)
		atomic_store(&k->refs, 1);
	return k;
}

struct pare_keep *pare_keep_ref(struct pare_keep *k)
{
	if (k)
		atomic_fetch_add(&k->refs, 1);
	return k;
}

void pare_keep_free(struct pare_keep *k)
{
	if (!k || atomic_fetch_sub(&k->refs, 1) > 1)
		return;
	for (int i = 0; i < k->n; i++)
		free(k->kept[i].data);
	free(k->kept);
	pthread_mutex_destroy(&k->lock);
	free(k);
}

static int find(const struct pare_keep *k, const char *key)
{
	for (int i = 0; i < k->n; i++)
		if (!strcmp(k->kept[i].key, key))
			return i;
	return -1;
}

void *pare_keep_find(struct pare_keep *k, const char *key, size_t *len)
{
	void *copy = NULL;
	int i;

	pthread_mutex_lock(&k->lock);
	if ((i = find(k, key)) >= 0 && (copy = malloc(k->kept[i].len + 1))) {
		memcpy(copy, k->kept[i].data, k->kept[i].len);
		*len = k->kept[i].len;
	}
	pthread_mutex_unlock(&k->lock);
	return copy;
}

static void drop(struct pare_keep *k, int i)
{
	k->bytes -= k->kept[i].len;
	free(k->kept[i].data);
	memmove(k->kept + i, k->kept + i + 1, (size_t)(--k->n - i) * sizeof *k->kept);
}

void pare_keep_put(struct pare_keep *k, const char *key, void *data, size_t len, bool told)
{
	struct kept *more;
	int i;

	pthread_mutex_lock(&k->lock);
	if ((i = find(k, key)) >= 0)
		drop(k, i);
	more = realloc(k->kept, ((size_t)k->n + 1) * sizeof *more);
	if (more && strlen(key) < PARE_SHA_HEX) {
		k->kept = more;
		k->kept[k->n] = (struct kept){ .data = data, .len = len, .told = told };
		strcpy(k->kept[k->n++].key, key);
		k->bytes += len;
	} else /* it will be done again, one day */
		free(data);
	while (k->bytes > MOST_BYTES && k->n > 1)
		drop(k, 0);
	pthread_mutex_unlock(&k->lock);
}

void pare_keep_tell(struct pare_keep *k, pare_kept_fn *fn, void *user)
{
	pthread_mutex_lock(&k->lock);
	for (int i = 0; i < k->n; i++) {
		if (!k->kept[i].told)
			fn(user, k->kept[i].key, k->kept[i].data, k->kept[i].len);
		k->kept[i].told = true;
	}
	pthread_mutex_unlock(&k->lock);
}

/* ---- by a calibration --------------------------------------------------------------------------
 */

void pare_calibration_tell_kept(const struct pare_calibration *c, pare_kept_fn *fn, void *user)
{
	if (c->keep)
		pare_keep_tell(c->keep, fn, user);
}

void pare_calibration_keep(
	const struct pare_calibration *c, const char *key, const void *data, size_t len)
{
	void *copy = c->keep ? malloc(len + 1) : NULL;

	if (!copy)
		return;
	memcpy(copy, data, len);
	pare_keep_put(c->keep, key, copy, len, true);
}
