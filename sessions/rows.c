/* The rows of the language: statements, dials, promises. */
#include "language.h"
#include <stddef.h>

/* clang-format off */
const struct pare_statement_row pare_statement_rows[PARE_N_SAY] = {
	[PARE_SAY_PARE] = { "pare", "1", "the version of the language; a recipe's first line", PARE_IN_RECIPE },
	[PARE_SAY_MODEL] = { "model", "PATH [sha256:…] [shape NAME=1,3,224,224…]", "the network that the recipe is for, and shapes for axes that it leaves open", PARE_IN_RECIPE },
	[PARE_SAY_DATA] = { "data", "PATH [sha256:…] [calibrate A:B] [evaluate A:B]", "its samples", PARE_IN_RECIPE },
	[PARE_SAY_SEED] = { "seed", "N", "seed of what is random", PARE_IN_RECIPE | PARE_IN_COMMAND },
	[PARE_SAY_SET] = { "set", "LAYERS [weights FORMAT] [per-tensor|per-channel|per-group N] [scheme NAME] [activations FORMAT] [range NAME] [calibrate METHOD] [round METHOD] [effort WORK]",
		"number formats of layers", PARE_IN_RECIPE | PARE_IN_COMMAND },
	[PARE_SAY_PRUNE] = { "prune", "LAYERS block [stays] | channels N%|to macs|bytes N%|to latency N%|N ms on DEVICE [multiple N] | weights [spread] N% | rank [spread] N% [by CRITERION] [pattern PATTERN] [repair METHOD] [split WAY]", "remove residual blocks or the least important channels, set weights to zero, or make layers two of low rank",
		PARE_IN_RECIPE | PARE_IN_COMMAND },
	[PARE_SAY_EXIT] = { "exit", "LAYERS [threshold T|none]", "let samples leave behind a layer when they are told apart there", PARE_IN_RECIPE | PARE_IN_COMMAND },
	[PARE_SAY_STEP] = { "step", "NAME…|none", "what is done to the whole network around rounding", PARE_IN_RECIPE | PARE_IN_COMMAND },
	[PARE_SAY_DEVICE] = { "device", "NAME…", "the devices to look at", PARE_IN_RECIPE | PARE_IN_COMMAND },
	[PARE_SAY_EXPECT] = { "expect", "NAME VALUE [± X]… [sha256:…] [cpu KIND]", "what the recipe promises", PARE_IN_RECIPE },
	[PARE_SAY_UNDO] = { "undo", "", "back to the plan before", PARE_IN_COMMAND },
	[PARE_SAY_REDO] = { "redo", "", "forward to the plan that undo left", PARE_IN_COMMAND },
	[PARE_SAY_GO] = { "go", "N", "to the N-th of the plans tried", PARE_IN_COMMAND },
	[PARE_SAY_WRITE] = { "write", "FILE", "save the plan as a recipe", PARE_IN_COMMAND },
	[PARE_SAY_EXPORT] = { "export", "FILE [format onnx|packed]", "write the compressed network as ONNX, or its weights at their true bits", PARE_IN_COMMAND },
	[PARE_SAY_MEASURE] = { "measure", "", "measure this plan now", PARE_IN_COMMAND },
	[PARE_SAY_STOP] = { "stop", "", "stop looking for the shares of a budget, or rounding: layers that are done are kept", PARE_IN_COMMAND },
	[PARE_SAY_MAP] = { "map", "pause|resume", "stop and go on with the work behind the map", PARE_IN_COMMAND },
	[PARE_SAY_VIEW] = { "view", "NAME", "show another view", PARE_IN_COMMAND },
	[PARE_SAY_NOTE] = { "note", "TEXT", "write something beside this plan", PARE_IN_COMMAND },
	[PARE_SAY_HELP] = { "help", "", "keys and commands", PARE_IN_COMMAND },
	[PARE_SAY_QUIT] = { "quit", "", "leave; everything is saved", PARE_IN_COMMAND },
};

const struct pare_dial_word pare_dial_words[] = {
	{ PARE_SAY_SET, "weights", PARE_FOR_WEIGHTS, 0, offsetof(struct pare_dials, weights), NULL },
	{ PARE_SAY_SET, NULL, 0, PARE_GRANULARITY, offsetof(struct pare_dials, granularity), NULL },
	{ PARE_SAY_SET, "scheme", 0, PARE_SCHEME, offsetof(struct pare_dials, scheme), NULL },
	{ PARE_SAY_SET, "activations", PARE_FOR_ACTIVATIONS, 0, offsetof(struct pare_dials, activations), NULL },
	{ PARE_SAY_SET, "range", 0, PARE_RANGING, offsetof(struct pare_dials, ranging), NULL },
	{ PARE_SAY_SET, "calibrate", 0, PARE_CALIBRATOR, offsetof(struct pare_dials, calibrator), NULL },
	{ PARE_SAY_SET, "round", 0, PARE_ROUNDING, offsetof(struct pare_dials, rounding), NULL },
	{ PARE_SAY_SET, "effort", 0, PARE_EFFORT, offsetof(struct pare_dials, effort), NULL },
	{ PARE_SAY_PRUNE, "repair", 0, PARE_REPAIR, offsetof(struct pare_dials, block_repair), "block" },
	{ PARE_SAY_PRUNE, "by", 0, PARE_CHANNEL_CRITERION, offsetof(struct pare_dials, channel_criterion), "channels" },
	{ PARE_SAY_PRUNE, "repair", 0, PARE_REPAIR, offsetof(struct pare_dials, repair), "channels" },
	{ PARE_SAY_PRUNE, "by", 0, PARE_CRITERION, offsetof(struct pare_dials, criterion), "weights" },
	{ PARE_SAY_PRUNE, "pattern", 0, PARE_PATTERN, offsetof(struct pare_dials, pattern), "weights" },
	{ PARE_SAY_PRUNE, "by", 0, PARE_RANK_CRITERION, offsetof(struct pare_dials, rank_criterion), "rank" },
	{ PARE_SAY_PRUNE, "split", 0, PARE_FACTORING, offsetof(struct pare_dials, factoring), "rank" },
	{ 0, NULL, 0, PARE_N_METHODS, 0, NULL },
};

const struct pare_prune_word pare_prune_words[PARE_N_PRUNE] = {
	[PARE_PRUNE_BLOCK] = { "block", NULL, offsetof(struct pare_dials, block), PARE_CHANGE_BLOCK },
	[PARE_PRUNE_CHANNELS] = { "channels", "share of the channels", offsetof(struct pare_dials, channels), PARE_CHANGE_CHANNELS },
	[PARE_PRUNE_WEIGHTS] = { "weights", "share of the weights", offsetof(struct pare_dials, sparsity), PARE_CHANGE_SPARSITY },
	[PARE_PRUNE_RANK] = { "rank", "share of the multiply-accumulates", offsetof(struct pare_dials, rank), PARE_CHANGE_RANK },
};

const struct pare_promise_row pare_promise_rows[PARE_N_PROMISES] = {
	[PARE_PROMISE_ACCURACY] = { "accuracy", "%", 2 },
	[PARE_PROMISE_DROP] = { "drop", "", 2 },
	[PARE_PROMISE_BYTES] = { "bytes", "", 0 },
	[PARE_PROMISE_MACS] = { "macs", "", 0 },
};
/* clang-format on */

const char *pare_dial_value_name(const struct pare_dial_word *d, int value)
{
	if (!d->uses)
		return pare_method_name(d->family, value);
	for (int i = 0; pare_formats[i].name; i++)
		if (i == value)
			return pare_formats[i].uses & d->uses ? pare_formats[i].name : NULL;
	return NULL;
}

void pare_change_apply(const struct pare_change *c, struct pare_dials *d)
{
	if (c->named & 1u << PARE_CHANGE_SPARSITY) /* before the pattern that may be named */
		pare_dials_set_sparsity(d, c->to.sparsity);
	for (int i = 0; pare_dial_words[i].family != PARE_N_METHODS; i++) {
		size_t at = pare_dial_words[i].at;

		if (c->named & 1u << i)
			*((uint8_t *)d + at) = *((const uint8_t *)&c->to + at);
	}
	if (c->named & 1u << PARE_CHANGE_BLOCK)
		d->block = c->to.block;
	if (c->named & 1u << PARE_CHANGE_CHANNELS)
		d->channels = c->to.channels;
	if (c->named & 1u << PARE_CHANGE_RANK)
		d->rank = c->to.rank;
	if (c->named & 1u << PARE_CHANGE_EXIT)
		d->exit = c->to.exit;
}
