/* Layers that were fitted are kept: work that was stopped goes on where it stood, what differs is
 * done anew, and what comes out is the same. */
#include "engine/plan/variant.h"
#include "engine/quantize/keep.h"
#include "tests/network.h"

struct watching { /* layers as they are begun */
	struct pare_ctl ctl;
	int seen, stop_at, last_done, total;
};

static void on_layer(void *user, const char *name, int done, int total)
{
	struct watching *w = user;

	(void)name;
	w->last_done = done;
	w->total = total;
	if (++w->seen == w->stop_at)
		atomic_store(&w->ctl.cancel, true);
}

static struct pare_plan *plan_of(const char *rounding)
{
	struct pare_plan *p = pare_plan_new(TINY_LAYERS);

	for (int i = 0; i < TINY_LAYERS; i++) {
		p->dials[i].weights = (uint8_t)pare_format_find("int4");
		p->dials[i].activations = (uint8_t)pare_format_find("int8");
		p->dials[i].rounding = (uint8_t)pare_method_find(PARE_ROUNDING, rounding);
	}
	return p;
}

/* Carry it out; how many layers were begun.  stop_at: 0 = do not stop.  sha: NULL, or filled. */
static int begun(const struct network *t, const struct pare_calibration *c,
	const struct pare_plan *p, int stop_at, char *sha)
{
	struct watching w = { .stop_at = stop_at };
	struct pare_variant *v = NULL;
	struct pare_err err = { 0 };
	enum pare_status st;
	int64_t bytes;

	w.ctl.layer = on_layer;
	w.ctl.layer_user = &w;
	st = pare_variant_new(t->m, p, c, &w.ctl, &v, &err);
	ok(st == (stop_at ? PARE_E_CANCELED : PARE_OK), "%s: %s",
		stop_at ? "stopped" : "carried out", err.text);
	if (sha && v)
		ok_status(pare_variant_hash(v, NULL, sha, &bytes, &err), err, "hashes");
	pare_variant_free(v);
	return w.seen;
}

static struct pare_calibration *fresh(const struct network *t)
{
	struct pare_calibration *c = NULL;
	struct pare_err err = { 0 };

	ok_status(pare_calibration_new(t->m, t->d, 0, NULL, &c, &err), err, "calibrates");
	return c;
}

static void what_was_stopped_goes_on(const struct network *t, const char *rounding)
{
	struct pare_calibration *c = fresh(t), *other = fresh(t);
	struct pare_plan *p = plan_of(rounding);
	char sha[3][PARE_SHA_HEX];
	int n[4];

	n[0] = begun(t, c, p, 5, NULL);
	n[1] = begun(t, c, p, 0, sha[0]);
	n[2] = begun(t, c, p, 0, sha[1]);
	n[3] = begun(t, other, p, 0, sha[2]);
	ok(n[0] == 5 && n[1] == TINY_LAYERS - 4,
		"%s: stopped in the fifth of %d, %d were left to do", rounding, TINY_LAYERS, n[1]);
	ok(!n[2] && n[3] == TINY_LAYERS, "then none is, and all are with another calibration");
	ok(!strcmp(sha[0], sha[2]) && !strcmp(sha[1], sha[2]), "the bytes are the same");
	pare_plan_free(p);
	pare_calibration_free(c);
	pare_calibration_free(other);
}

static void what_differs_is_done_anew(const struct network *t)
{
	struct pare_calibration *c = fresh(t), *other = fresh(t);
	struct pare_plan *p = plan_of("descent");
	char sha[2][PARE_SHA_HEX];
	int n;

	begun(t, c, p, 0, NULL);
	p->dials[7].weights = (uint8_t)pare_format_find("int3");
	n = begun(t, c, p, 0, sha[0]);
	begun(t, other, p, 0, sha[1]);
	ok(n == TINY_LAYERS - 7, "a turn of layer 8's dial: %d are done anew", n);
	ok(!strcmp(sha[0], sha[1]), "to the same bytes");
	p->dials[3].activations = 0;
	n = begun(t, c, p, 0, sha[0]);
	ok(n == TINY_LAYERS - 3, "what enters layer 4: %d", n);
	p->dials[0].sparsity = 0.5f;
	n = begun(t, c, p, 0, sha[0]);
	ok(n == TINY_LAYERS, "weights of layer 1 go: all %d", n);
	p->dials[0].sparsity = 0;
	p->dials[0].rounding = (uint8_t)pare_method_find(PARE_ROUNDING, "corrected");
	ok(begun(t, c, p, 0, sha[0]) == TINY_LAYERS, "another method: all");
	pare_plan_free(p);
	pare_calibration_free(c);
	pare_calibration_free(other);
}

static void hand_over(void *user, const char *key, const void *data, size_t len)
{
	pare_calibration_keep(user, key, data, len);
}

static void hand_over_damaged(void *user, const char *key, const void *data, size_t len)
{
	pare_calibration_keep(user, key, data, len - 1);
}

static void it_can_be_handed_on(const struct network *t)
{
	struct pare_calibration *c = fresh(t), *next = fresh(t), *bad = fresh(t);
	struct pare_plan *p = plan_of("auto");
	char sha[3][PARE_SHA_HEX];

	begun(t, c, p, 0, sha[0]);
	pare_calibration_tell_kept(c, hand_over, next);
	ok(!begun(t, next, p, 0, sha[1]), "another process does none of it again");
	pare_calibration_tell_kept(c, hand_over, bad);
	ok(begun(t, bad, p, 0, sha[2]) == TINY_LAYERS, "what was told is not told again");
	ok(!strcmp(sha[0], sha[1]) && !strcmp(sha[0], sha[2]), "the same bytes");
	pare_calibration_free(next);
	next = fresh(t);
	pare_calibration_tell_kept(bad, hand_over_damaged, next);
	ok(begun(t, next, p, 0, sha[1]) == TINY_LAYERS && !strcmp(sha[0], sha[1]),
		"what is damaged is done again");
	pare_plan_free(p);
	pare_calibration_free(c);
	pare_calibration_free(next);
	pare_calibration_free(bad);
}

int main(void)
{
	struct network t;

	if (!network_open(&t))
		return 1;
	what_was_stopped_goes_on(&t, "descent");
	what_was_stopped_goes_on(&t, "auto");
	what_differs_is_done_anew(&t);
	it_can_be_handed_on(&t);
	network_close(&t);
	return tap_done();
}
