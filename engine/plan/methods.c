/* Names and help of the method rows, for people. */
#include "../prune/blocks.h"
#include "../prune/prune.h"
#include "../prune/rank.h"
#include "../quantize/quantize.h"
#include "../quantize/steps.h"
#include "variant.h"
#include <string.h>

struct label {
	const char *name, *help;
};

static struct label label_of(enum pare_method family, int i)
{
	switch (family) {
	case PARE_GRANULARITY:
		return (struct label){ pare_granularities[i].name, pare_granularities[i].help };
	case PARE_SCHEME:
		return (struct label){ pare_schemes[i].name, pare_schemes[i].help };
	case PARE_RANGING:
		return (struct label){ pare_rangings[i].name, pare_rangings[i].help };
	case PARE_EFFORT:
		return (struct label){ pare_efforts[i].name, pare_efforts[i].help };
	case PARE_STEP:
		return (struct label){ pare_plan_steps[i].name, pare_plan_steps[i].help };
	case PARE_CALIBRATOR:
		return (struct label){ pare_calibrators[i].name, pare_calibrators[i].help };
	case PARE_ROUNDING:
		return (struct label){ pare_roundings[i].name, pare_roundings[i].help };
	case PARE_CRITERION:
		return (struct label){ pare_criteria[i].name, pare_criteria[i].help };
	case PARE_PATTERN:
		return (struct label){ pare_patterns[i].name, pare_patterns[i].help };
	case PARE_CHANNEL_CRITERION:
		return (struct label){ pare_channel_criteria[i].name,
			pare_channel_criteria[i].help };
	case PARE_REPAIR:
		return (struct label){ pare_repairs[i].name, pare_repairs[i].help };
	case PARE_FACTORING:
		return (struct label){ pare_factorings[i].name, pare_factorings[i].help };
	case PARE_RANK_CRITERION:
		return (struct label){ pare_rank_criteria[i].name, pare_rank_criteria[i].help };
	case PARE_BLOCK:
		return (struct label){ pare_block_choices[i].name, pare_block_choices[i].help };
	case PARE_GOAL:
		return (struct label){ pare_goals[i].name, pare_goals[i].help };
	case PARE_FILE:
		return (struct label){ pare_file_kinds[i].name, pare_file_kinds[i].help };
	case PARE_N_METHODS:
		break;
	}
	return (struct label){ 0 };
}

const char *pare_method_title(enum pare_method family)
{
	switch (family) {
	case PARE_GRANULARITY:
		return "Scales";
	case PARE_CALIBRATOR:
		return "Calibrators";
	case PARE_ROUNDING:
		return "Rounding";
	case PARE_CRITERION:
		return "Weights that go first";
	case PARE_PATTERN:
		return "Patterns of weights that go";
	case PARE_CHANNEL_CRITERION:
		return "Channels that go first";
	case PARE_REPAIR:
		return "Repair after channels and blocks";
	case PARE_SCHEME:
		return "Codes of weights";
	case PARE_RANGING:
		return "Bounds of activations";
	case PARE_EFFORT:
		return "Work that round auto may take";
	case PARE_STEP:
		return "Steps around rounding";
	case PARE_FACTORING:
		return "Layers in two";
	case PARE_BLOCK:
		return "Residual blocks";
	case PARE_RANK_CRITERION:
		return "What a layer in two keeps";
	case PARE_GOAL:
		return "What a budget of channels counts";
	case PARE_FILE:
		return "What is written";
	case PARE_N_METHODS:
		break;
	}
	return NULL;
}

static int n_rows(enum pare_method family)
{
	int n = 0;

	while (label_of(family, n).name)
		n++;
	return n;
}

const char *pare_method_name(enum pare_method family, int i)
{
	return i >= 0 && i < n_rows(family) ? label_of(family, i).name : NULL;
}

const char *pare_method_help(enum pare_method family, int i)
{
	return i >= 0 && i < n_rows(family) ? label_of(family, i).help : NULL;
}

int pare_method_find(enum pare_method family, const char *name)
{
	for (int i = 0; i < n_rows(family); i++)
		if (!strcmp(label_of(family, i).name, name))
			return i;
	return -1;
}
