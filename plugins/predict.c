#include "profile.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* ---- what a node counts for ------------------------------------------------------------- */

static bool multiplies(const struct pare_plugin_layer *l)
{
	return l->kind >= PARE_WORK_CONV && l->kind <= PARE_WORK_DENSE;
}

void pare_profile_count(const struct pare_profile_set *s, const struct pare_plugin_layer *l,
	double count[PARE_N_RATES])
{
	for (int i = 0; i < PARE_N_RATES; i++)
		count[i] = 0;
	if (l->kind == PARE_WORK_FREE)
		return;
	if (multiplies(l))
		count[PARE_RATE_CONV + l->kind - PARE_WORK_CONV] = (double)l->macs;
	count[PARE_RATE_ACT] = (double)(l->in_elems + l->out_elems) * s->act_bytes;
	count[PARE_RATE_WEIGHT] = (double)l->params * s->weight_bytes;
	count[multiplies(l) ? PARE_RATE_LAYER : PARE_RATE_OTHER] = 1;
}

void pare_profile_count_work(const struct pare_profile_set *s, const struct pare_plugin_work *w,
	double count[PARE_N_RATES])
{
	double one[PARE_N_RATES];

	for (int i = 0; i < PARE_N_RATES; i++)
		count[i] = 0;
	for (int64_t l = 0; l < w->n_layers; l++) {
		pare_profile_count(s, pare_plugin_layer_at(w, l), one);
		for (int i = 0; i < PARE_N_RATES; i++)
			count[i] += one[i];
	}
	count[PARE_RATE_CONST] = 1;
}

static void needs_add(const struct pare_profile_set *s, const struct pare_plugin_layer *l,
	double need[PARE_N_NEEDS])
{
	need[PARE_NEED_WEIGHT] += (double)l->params * s->weight_bytes;
	if (l->kind == PARE_WORK_FREE)
		return;
	need[PARE_NEED_PEAK] =
		fmax(need[PARE_NEED_PEAK], (double)(l->in_elems + l->out_elems) * s->act_bytes);
	need[PARE_NEED_LAYER] += multiplies(l);
}

void pare_profile_needs_work(const struct pare_profile_set *s, const struct pare_plugin_work *w,
	double need[PARE_N_NEEDS])
{
	for (int i = 0; i < PARE_N_NEEDS; i++)
		need[i] = i == PARE_NEED_CONST;
	for (int64_t l = 0; l < w->n_layers; l++)
		needs_add(s, pare_plugin_layer_at(w, l), need);
}

/* ---- which set a layer runs with -------------------------------------------------------- */

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
static const struct pare_profile_set *set_for(const struct pare_profile *p, const char *weights,
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
		snprintf(out->why, sizeof out->why, "%.44s: %.47s run %.60s", l->name, what, then);
}

/* "int8 weights with float32 activations", or less where that says it. */
static void asked(const struct pare_plugin_layer *l, char *out, size_t len)
{
	if (!strcmp(l->weights, l->activations))
		snprintf(out, len, "%s values", l->weights);
	else if (l->activation_bits >= 32)
		snprintf(out, len, "%s weights", l->weights);
	else if (l->weight_bits >= 32)
		snprintf(out, len, "%s activations", l->activations);
	else
		snprintf(out, len, "%s weights, %s activations", l->weights, l->activations);
}

static void judge(struct pare_plugin_figures *out, const struct pare_profile *p,
	const struct pare_profile_set *s, const struct pare_plugin_layer *l, bool native_weights,
	bool native_activations)
{
	bool lost = (l->weight_bits < 32 && !native_weights) ||
		    (l->activation_bits < 32 && !native_activations);
	bool skips, first;
	char what[64], then[96];

	skips = l->pattern && listed(p->patterns, l->pattern, &first);
	asked(l, what, sizeof what);
	if (*s->slow) {
		fall_back(out, l, what, s->slow);
	} else if (lost) {
		snprintf(then, sizeof then, "as %.40s, no faster", s->name);
		fall_back(out, l, what, then);
	} else if (l->sparsity > 0) {
		if (l->pattern && strcmp(l->pattern, "unstructured"))
			snprintf(what, sizeof what, "%.40s zeros", l->pattern);
		else
			snprintf(what, sizeof what, "%.0f%% zeros", 100 * l->sparsity);
		/* by how much they are faster where they are left out is in no table yet */
		fall_back(out, l, what,
			skips ? "faster by what is not known" : "as dense weights, no faster");
	}
}

/* ---- the sum ---------------------------------------------------------------------------- */

struct sum {
	double ns, energy;             /* energy in ns * mW */
	double const_ns, const_energy; /* of all layers; their mean counts */
	double need[PARE_N_NEEDS];
	double macs;
	double band, power_band; /* the widest of the sets in use */
	int64_t layers;
	const struct pare_profile_set *set; /* that the last layer ran with */
};

static void add_node(const struct pare_profile *p, struct sum *sum,
	const struct pare_profile_set *set, const struct pare_plugin_layer *l)
{
	double count[PARE_N_RATES], rate[PARE_N_RATES], ns = 0;

	pare_profile_count(set, l, count);
	pare_profile_rates(p, set, rate);
	for (int i = 0; i < PARE_N_RATES; i++)
		ns += count[i] * rate[i];
	if (sum->set && sum->set != set) /* what flows between the two is converted */
		ns += rate[PARE_RATE_OTHER] + rate[PARE_RATE_ACT] * (double)l->in_elems *
						      (sum->set->act_bytes + set->act_bytes);
	sum->macs += (double)l->macs;
	if (multiplies(l)) {
		sum->layers++;
		sum->const_ns += rate[PARE_RATE_CONST];
		sum->const_energy += rate[PARE_RATE_CONST] * set->power;
	}
	sum->ns += ns;
	sum->energy += ns * set->power; /* NaN = not known, and stays */
	sum->band = fmax(sum->band, set->band);
	sum->power_band = fmax(sum->power_band, set->power_band);
	needs_add(set, l, sum->need);
	sum->set = set;
}

static int64_t memory(const struct pare_profile_memory *m, const double need[PARE_N_NEEDS])
{
	double bytes = 0;

	for (int i = 0; i < PARE_N_NEEDS; i++)
		bytes += m->need[i] * need[i];
	return *m->terms ? (int64_t)(bytes + 0.5) : -1;
}

static enum pare_plugin_fits fits(double has, int64_t needs)
{
	if (needs < 0 || has <= 0)
		return PARE_PLUGIN_FITS_UNKNOWN;
	return (double)needs <= has ? PARE_PLUGIN_FITS_YES : PARE_PLUGIN_FITS_NO;
}

/* Networks far smaller or larger than those published are predicted worse.  Fitted on its
 * 15 largest networks, TFLite's float profile is off by up to 1.84 on those 14 times
 * smaller, where the band was 1.15: the band grows as the fifth root of the distance. */
static double stretch(const struct pare_profile *p, double macs)
{
	double below = p->macs_from / fmax(macs, 1), above = p->macs_to > 0 ? macs / p->macs_to : 1;

	return pow(fmax(1, fmax(below, above)), 0.2);
}

static void
conclude(const struct pare_profile *p, const struct sum *sum, struct pare_plugin_figures *out)
{
	double share = sum->layers ? 1 / (double)sum->layers : 0;
	double band = sum->band * stretch(p, sum->macs);
	enum pare_plugin_fits ram, flash;

	out->latency_ms = (sum->ns + share * sum->const_ns) * 1e-6;
	out->latency_lo = out->latency_ms / band;
	out->latency_hi = out->latency_ms * band;
	if (!isnan(sum->energy)) {
		out->energy_mj = (sum->energy + share * sum->const_energy) * 1e-9;
		out->energy_lo = out->energy_mj / (band * sum->power_band);
		out->energy_hi = out->energy_mj * (band * sum->power_band);
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

void pare_profile_predict(const struct pare_profile *p, const struct pare_plugin_work *w,
	struct pare_plugin_figures *out)
{
	struct sum sum = { .band = 1, .power_band = 1, .need[PARE_NEED_CONST] = 1 };
	const struct pare_profile_set *set = NULL;
	bool known = true, weights, activations;
	char what[64];

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
			if (set) {
				judge(out, p, set, l, weights, activations);
			} else {
				asked(l, what, sizeof what);
				fall_back(out, l, what, "nowhere on this device");
			};
		}
		known = known && set;
		if (set)
			add_node(p, &sum, set, l);
	}
	if (known && sum.layers && sum.ns > 0) /* a profile may have rules and no rates */
		conclude(p, &sum, out);
}
