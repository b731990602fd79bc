#include "pool.h"
#include "err.h"
#include <pthread.h>
#include <stdlib.h>
#include <unistd.h>

enum { MAX_THREADS = 256 };

/* From OpenBLAS: its own threads would fight with ours. */
extern void openblas_set_num_threads(int);

struct round {
	pare_chunk_fn *fn;
	void *ctx;
	struct pare_ctl *ctl;
	struct round *around; /* a chunk of it called for this one */
	struct pare_progress_span span;
	int n, next, done; /* under `lock` */
	int failed_chunk;  /* lowest so far, -1 = none */
	enum pare_status status;
	struct pare_err err;
};

static pthread_mutex_t turn = PTHREAD_MUTEX_INITIALIZER; /* held by the caller of a round */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER; /* guards all below */
static pthread_cond_t work = PTHREAD_COND_INITIALIZER, idle = PTHREAD_COND_INITIALIZER;
static pthread_t thread[MAX_THREADS];
static int n_started; /* threads beside the caller */
static int n_busy;
static int wanted; /* pare_threads(); 0 = not set yet */
static unsigned long generation;
static struct round *current;
static _Thread_local struct round *inside; /* this thread runs a chunk of it */

static int online_cpus(void)
{
	long n = sysconf(_SC_NPROCESSORS_ONLN);

	return n < 1 ? 1 : n > MAX_THREADS ? MAX_THREADS : (int)n;
}

int pare_threads(void)
{
	int n;

	pthread_mutex_lock(&lock);
	if (!wanted)
		wanted = online_cpus();
	n = wanted;
	pthread_mutex_unlock(&lock);
	return n;
}

void pare_set_threads(int n)
{
	pthread_mutex_lock(&turn);
	pthread_mutex_lock(&lock);
	wanted = n < 1 ? online_cpus() : n > MAX_THREADS ? MAX_THREADS : n;
	pthread_mutex_unlock(&lock);
	pthread_mutex_unlock(&turn);
}

static int canceled(const struct round *r)
{
	return r->ctl && atomic_load(&r->ctl->cancel);
}

bool pare_canceled(void)
{
	for (const struct round *r = inside; r; r = r->around)
		if (canceled(r))
			return true;
	return false;
}

/* Take chunks until none is left.  Called and left with `lock` held. */
static void take_chunks(struct round *r, int worker)
{
	while (r->next < r->n && r->failed_chunk < 0 && !canceled(r)) {
		int chunk = r->next++;
		struct pare_err err = { 0 };
		enum pare_status st;

		pthread_mutex_unlock(&lock);
		inside = r;
		st = r->fn(r->ctx, chunk, worker, &err);
		inside = NULL;
		pthread_mutex_lock(&lock);
		r->done++;
		if (st && (r->failed_chunk < 0 || chunk < r->failed_chunk)) {
			r->failed_chunk = chunk;
			r->status = st;
			r->err = err;
		}
		if (r->ctl && r->ctl->progress && r->span.total > 0)
			r->ctl->progress(r->ctl->user, r->span.base + r->done, r->span.total);
	}
}

static void *worker_main(void *arg)
{
	int worker = (int)(intptr_t)arg;
	unsigned long seen = 0;

	pthread_mutex_lock(&lock);
	for (;;) {
		while (generation == seen)
			pthread_cond_wait(&work, &lock);
		seen = generation;
		if (!current || worker >= wanted)
			continue;
		n_busy++;
		take_chunks(current, worker);
		if (--n_busy == 0)
			pthread_cond_broadcast(&idle);
	}
	return NULL;
}

static void start_threads(int want)
{
	pthread_attr_t attr;

	pthread_attr_init(&attr);
	pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
	while (n_started < want - 1) { /* fewer threads than asked for still finish the work */
		if (pthread_create(&thread[n_started], &attr, worker_main,
			    (void *)(intptr_t)(n_started + 1)))
			break;
		n_started++;
	}
	pthread_attr_destroy(&attr);
}

/* All chunks, on a thread that runs one of another round. */
static enum pare_status run_inside(struct round *r, struct pare_err *err)
{
	enum pare_status st = PARE_OK;

	r->around = inside;
	inside = r;
	for (int i = 0; i < r->n && !st; i++)
		st = canceled(r) ? pare_fail(err, PARE_E_CANCELED, "stopped")
				 : r->fn(r->ctx, i, 0, err);
	inside = r->around;
	return st;
}

enum pare_status pare_parallel(int n, pare_chunk_fn *fn, void *ctx, struct pare_ctl *ctl,
	struct pare_progress_span span, struct pare_err *err)
{
	struct round r = {
		.fn = fn, .ctx = ctx, .ctl = ctl, .span = span, .n = n, .failed_chunk = -1
	};

	openblas_set_num_threads(1);
	if (inside)
		return run_inside(&r, err);
	pthread_mutex_lock(&turn);
	pthread_mutex_lock(&lock);
	if (!wanted)
		wanted = online_cpus();
	start_threads(n < wanted ? n : wanted);
	current = &r;
	generation++;
	pthread_cond_broadcast(&work);
	take_chunks(&r, 0);
	while (n_busy)
		pthread_cond_wait(&idle, &lock);
	current = NULL;
	pthread_mutex_unlock(&lock);
	pthread_mutex_unlock(&turn);
	if (r.failed_chunk >= 0) {
		if (err)
			*err = r.err;
		return r.status;
	}
	if (r.done < n)
		return pare_fail(err, PARE_E_CANCELED, "stopped");
	return PARE_OK;
}

static void on_part(void *user, double done, double total)
{
	const struct pare_part *p = user;

	if (total > 0)
		p->progress(p->user, p->done + p->worth * done / total, p->total);
}

void pare_part_begin(
	struct pare_ctl *ctl, struct pare_part *part, double done, double worth, double total)
{
	*part = (struct pare_part){ .done = done, .worth = worth, .total = total };
	if (!ctl || !ctl->progress)
		return;
	part->progress = ctl->progress;
	part->user = ctl->user;
	ctl->progress = on_part;
	ctl->user = part;
}

void pare_part_end(struct pare_ctl *ctl, const struct pare_part *part)
{
	if (!ctl || !part->progress)
		return;
	ctl->progress = part->progress;
	ctl->user = part->user;
}
