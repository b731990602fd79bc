#include "profile.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* ---- what a node counts for --------------------------------------------------------------------
 */

static bool multiplies(const struct pare_plugin_layer *l)
{
	return l->kind >= PARE_WORK_CONV && l->kind <= PARE_WORK_DENSE;
}

void profile_count(
	const struct profile_set *s, const struct pare_plugin_layer *l, double count[N_RATES])
{
	for (int i = 0; i < N_RATES; i++)
		count[i] = 0;
	if (l->kind == PARE_WORK_FREE)
		return;
	if (multiplies(l))
		count[RATE_CONV + l->kind - PARE_WORK_CONV] = (double)l->macs;
	count[RATE_ACT] = (double)(l->in_elems + l->out_elems) * s->act_bytes;
	count[RATE_WEIGHT] = (double)l->params * s->weight_bytes;
	count[multiplies(l) ? RATE_LAYER : RATE_OTHER] = 1;
}

void profile_count_work(
	const struct profile_set *s, const struct pare_plugin_work *w, double count[N_RATES])
{
	double one[N_RATES];

	for (int i = 0; i < N_RATES; i++)
		count[i] = 0;
	for (int64_t l = 0; l < w->n_layers; l++) {
		profile_count(s, pare_plugin_layer_at(w, l), one);
		for (int i = 0; i < N_RATES; i++)
			count[i] += one[i];
	}
	count[RATE_CONST] = 1;
}

static void
needs_add(const struct profile_set *s, const struct pare_plugin_layer *l, double need[N_NEEDS])
{
	need[NEED_WEIGHT] += (double)l->params * s->weight_bytes;
	if (l->kind == PARE_WORK_FREE)
		return;
	need[NEED_PEAK] =
		fmax(need[NEED_PEAK], (double)(l->in_elems + l->out_elems) * s->act_bytes);
	need[NEED_LAYER] += multiplies(l);
}

void profile_needs_work(
	const struct profile_set *s, const struct pare_plugin_work *w, double need[N_NEEDS])
{
	for (int i = 0; i < N_NEEDS; i++)
		need[i] = i == NEED_CONST;
	for (int64_t l = 0; l < w->n_layers; l++)
		needs_add(s, pare_plugin_layer_at(w, l), need);
}

/* ---- which set a layer runs with ----------------------------------------------------------------
 */

/* Is `word` in the list, and is it the first there? */
static bool listed(const char *list, const char *word, bool *first)
{
	size_t n = strlen(word);

	for (const char *at = list; *at; at += strcspn(at, " "), at += strspn(at, " "))
		if (strcspn(at, " ") == n && !memcmp(at, word, n)) {
			*first = at == list;
			return true;
		}
	return false;
}

/* The set that runs these formats; the one for float when none does; NULL when there is no such. */
static const struct profile_set *set_for(const struct profile *p, const char *weights,
	const char *activations, bool *native_weights, bool *native_activations)
{
	if (!*weights) {
		*native_weights = *native_activations = true;
		return &p->sets[0];
	}
	for (int i = 0; i < p->n_sets; i++)
		if (listed(p->sets[i].weights, weights, native_weights) &&
			listed(p->sets[i].activations, activations, native_activations))
			return &p->sets[i];
	*native_weights = *native_activations = false;
	for (int i = 0; i < p->n_sets; i++) {
		bool any;

		if (listed(p->sets[i].weights, "float32", &any) &&
			listed(p->sets[i].activations, "float32", &any))
			return &p->sets[i];
	}
	return NULL;
}

/* Write down that the device does not do what the plan asks of this layer. */
static void fall_back(struct pare_plugin_figures *out, const struct pare_plugin_layer *l,
	const char *what, const char *then)
{
	if (!out->n_fallbacks++)
		snprintf(out->why, sizeof out->why, "%.44s: %.47s %.63s", l->name, what, then);
}

static void judge(struct pare_plugin_figures *out, const struct profile_set *s,
	const struct pare_plugin_layer *l, bool native_weights, bool native_activations)
{
	bool weights = l->weight_bits < 32, activations = l->activation_bits < 32;
	char what[64], then[96];

	snprintf(then, sizeof then, "run as %.40s, no faster", s->name);
	if (*s->slow) {
		snprintf(what, sizeof what, "%s weights with %s activations", l->weights,
			l->activations);
		fall_back(out, l, what, s->slow);
	} else if ((weights && !native_weights) || (activations && !native_activations)) {
		if (weights && !activations)
			snprintf(what, sizeof what, "%s weights", l->weights);
		else if (!weights)
			snprintf(what, sizeof what, "%s activations", l->activations);
		else
			snprintf(what, sizeof what, "%s weights with %s activations", l->weights,
				l->activations);
		fall_back(out, l, what, then);
	} else if (l->sparsity > 0) {
		snprintf(what, sizeof what, "%.0f%% zeros", 100 * l->sparsity);
		fall_back(out, l, what, "run as dense weights, no faster");
	}
}

/* ---- the sum ------------------------------------------------------------------------------------
 */

struct sum {
	double ns, energy;             /* energy in ns * mW */
	double const_ns, const_energy; /* of all layers; their mean counts */
	double need[N_NEEDS];
	double band, power_band; /* the widest of the sets in use */
	int64_t layers;
	const struct profile_set *set; /* that the last layer ran with */
};

static void add_node(const struct profile *p, struct sum *sum, const struct profile_set *set,
	const struct pare_plugin_layer *l)
{
	double count[N_RATES], rate[N_RATES], ns = 0;

	profile_count(set, l, count);
	profile_rates(p, set, rate);
	for (int i = 0; i < N_RATES; i++)
		ns += count[i] * rate[i];
	if (sum->set && sum->set != set) /* what flows between the two is converted */
		ns += rate[RATE_OTHER] +
		      rate[RATE_ACT] * (double)l->in_elems * (sum->set->act_bytes + set->act_bytes);
	if (multiplies(l)) {
		sum->layers++;
		sum->const_ns += rate[RATE_CONST];
		sum->const_energy += rate[RATE_CONST] * set->power;
	}
	sum->ns += ns;
	sum->energy += ns * set->power; /* NaN = not known, and stays */
	sum->band = fmax(sum->band, set->band);
	sum->power_band = fmax(sum->power_band, set->power_band);
	needs_add(set, l, sum->need);
	sum->set = set;
}

static int64_t memory(const struct profile_memory *m, const double need[N_NEEDS])
{
	double bytes = 0;

	for (int i = 0; i < N_NEEDS; i++)
		bytes += m->need[i] * need[i];
	return *m->terms ? (int64_t)(bytes + 0.5) : -1;
}

static enum pare_plugin_fits fits(double has, int64_t needs)
{
	if (needs < 0 || has <= 0)
		return PARE_PLUGIN_FITS_UNKNOWN;
	return (double)needs <= has ? PARE_PLUGIN_FITS_YES : PARE_PLUGIN_FITS_NO;
}

static void
conclude(const struct profile *p, const struct sum *sum, struct pare_plugin_figures *out)
{
	double share = sum->layers ? 1 / (double)sum->layers : 0;
	enum pare_plugin_fits ram, flash;

	out->latency_ms = (sum->ns + share * sum->const_ns) * 1e-6;
	out->latency_lo = out->latency_ms / sum->band;
	out->latency_hi = out->latency_ms * sum->band;
	if (!isnan(sum->energy)) {
		out->energy_mj = (sum->energy + share * sum->const_energy) * 1e-9;
		out->energy_lo = out->energy_mj / (sum->band * sum->power_band);
		out->energy_hi = out->energy_mj * (sum->band * sum->power_band);
	}
	out->ram = memory(&p->need_ram, sum->need);
	out->flash = memory(&p->need_flash, sum->need);
	ram = fits(p->ram, out->ram);
	flash = fits(p->flash, out->flash);
	if (ram == PARE_PLUGIN_FITS_NO || flash == PARE_PLUGIN_FITS_NO)
		out->fits = PARE_PLUGIN_FITS_NO;
	else if (ram == PARE_PLUGIN_FITS_YES && flash == PARE_PLUGIN_FITS_YES)
		out->fits = PARE_PLUGIN_FITS_YES;
}

void profile_predict(
	const struct profile *p, const struct pare_plugin_work *w, struct pare_plugin_figures *out)
{
	struct sum sum = { .band = 1, .power_band = 1, .need[NEED_CONST] = 1 };
	const struct profile_set *set = NULL;
	bool known = true, weights, activations;

	/* what comes before the first layer runs as the first layer does */
	for (int64_t i = 0; i < w->n_layers && !set; i++) {
		const struct pare_plugin_layer *l = pare_plugin_layer_at(w, i);

		if (l->layer >= 0)
			set = set_for(p, l->weights, l->activations, &weights, &activations);
	}
	for (int64_t i = 0; i < w->n_layers; i++) {
		const struct pare_plugin_layer *l = pare_plugin_layer_at(w, i);

		if (l->layer >= 0) {
			set = set_for(p, l->weights, l->activations, &weights, &activations);
			if (set)
				judge(out, set, l, weights, activations);
			else
				fall_back(out, l, l->weights, "weights do not run there");
		}
		known = known && set;
		if (set)
			add_node(p, &sum, set, l);
	}
	if (known && sum.layers)
		conclude(p, &sum, out);
}
