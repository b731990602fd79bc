#include "fields.h"
#include "../quantize/quantize.h"
#include <stddef.h>

/* A rounding matters to integers alone. */
static bool with_integers(const struct pare_dials *d)
{
	return pare_formats[d->weights].kind == PARE_KIND_INT;
}

static bool with_tries(const struct pare_dials *d)
{
	return with_integers(d) && pare_roundings[d->rounding].tries;
}

static bool with_activations(const struct pare_dials *d)
{
	return d->activations != 0;
}

static bool with_bounds(const struct pare_dials *d)
{
	return d->activations && !pare_rangings[d->ranging].dynamic;
}

static bool with_channels(const struct pare_dials *d)
{
	return d->channels > 0;
}

static bool with_rank(const struct pare_dials *d)
{
	return d->rank > 0;
}

static bool with_sparsity(const struct pare_dials *d)
{
	return d->sparsity > 0;
}

static bool block_goes(const struct pare_dials *d)
{
	return d->block != 0;
}

/* clang-format off */
#define AT(field) offsetof(struct pare_dials, field)
const struct pare_field pare_fields[] = {
	{ AT(weights), PARE_N_METHODS, NULL },
	{ AT(activations), PARE_N_METHODS, NULL },
	{ AT(granularity), PARE_GRANULARITY, with_integers },
	{ AT(calibrator), PARE_CALIBRATOR, with_bounds },
	{ AT(rounding), PARE_ROUNDING, with_integers },
	{ AT(criterion), PARE_CRITERION, with_sparsity },
	{ AT(channel_criterion), PARE_CHANNEL_CRITERION, with_channels },
	{ AT(repair), PARE_REPAIR, with_channels },
	{ AT(scheme), PARE_SCHEME, with_integers },
	{ AT(pattern), PARE_PATTERN, with_sparsity },
	{ AT(ranging), PARE_RANGING, with_activations },
	{ AT(factoring), PARE_FACTORING, with_rank },
	{ AT(rank_criterion), PARE_RANK_CRITERION, with_rank },
	{ AT(effort), PARE_EFFORT, with_tries },
	{ AT(block), PARE_BLOCK, NULL },
	{ AT(block_repair), PARE_REPAIR, block_goes },
};
/* clang-format on */
const int pare_n_fields = sizeof pare_fields / sizeof *pare_fields;

struct pare_dials pare_dials_effective(struct pare_dials d)
{
	if (d.block) /* nothing is left that other dials could be about */
		return (struct pare_dials){ .block = d.block, .block_repair = d.block_repair };
	d.channels = with_channels(&d) ? d.channels : 0;
	d.sparsity = with_sparsity(&d) ? d.sparsity : 0;
	d.rank = with_rank(&d) ? d.rank : 0;
	for (int i = 0; i < pare_n_fields; i++)
		if (pare_fields[i].matters && !pare_fields[i].matters(&d))
			*pare_field_of(&d, i) = 0;
	return d;
}

bool pare_field_valid(int i, uint8_t value)
{
	if (pare_fields[i].family != PARE_N_METHODS)
		return pare_method_name(pare_fields[i].family, value) != NULL;
	for (int k = 0; pare_formats[k].name; k++)
		if (k == value)
			return true;
	return false;
}
