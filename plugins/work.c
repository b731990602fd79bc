#include "work.h"
#include <stdlib.h>
#include <string.h>

static void layer_of_node(const struct pare_node_info *n, const struct pare_node_info *whole,
	const struct pare_plan *p, struct pare_plugin_layer *out)
{
	const struct pare_dials none = { 0 }, *d = p && n->layer >= 0 ? &p->dials[n->layer] : &none;
	const struct pare_format *w = &pare_formats[d->weights], *a = &pare_formats[d->activations];

	*out = (struct pare_plugin_layer){
		.name = whole->name, /* the shapes that are left do not live on */
		.op = whole->op,
		.kind = (int32_t)pare_work_kind(
			n->op, n->kernel, n->groups, n->in_channels, n->layer >= 0),
		.layer = n->layer,
		/* -1 where shapes are not known */
		.macs = n->macs < 0 ? 0 : n->macs,
		.params = n->params < 0 ? 0 : n->params,
		.in_elems = n->in_elems < 0 ? 0 : n->in_elems,
		.out_elems = n->out_elems < 0 ? 0 : n->out_elems,
		.in_channels = n->in_channels,
		.out_channels = n->out_channels,
		.kernel = n->kernel,
		.stride = n->stride,
		.groups = n->groups,
		.weights = w->name,
		.activations = a->name,
		.weight_bits = w->bits,
		.activation_bits = a->bits,
		.sparsity = (double)d->sparsity,
		.pattern = pare_method_name(PARE_PATTERN, d->pattern),
	};
}

enum pare_status pare_work_of_model(const struct pare_model *m, const struct pare_plan *p,
	struct pare_plugin_work *out, struct pare_err *err)
{
	const struct pare_model_info *info = pare_model_info(m);
	struct pare_plugin_layer *layers;
	struct pare_model *left = NULL;

	if (info->n_unsupported)
		return pare_fail(err, PARE_E_UNSUPPORTED,
			"what '%s' (%s) takes is not known, so neither is what the network does",
			pare_model_unsupported(m, 0)->node, pare_model_unsupported(m, 0)->op);
	if (p) {
		enum pare_status st = pare_plan_shapes(m, p, &left, err);

		if (st)
			return st;
	}
	layers = calloc((size_t)info->n_nodes + 1, sizeof *layers);
	if (!layers) {
		pare_model_free(left);
		return pare_nomem(err, "the list of layers");
	}
	for (int i = 0; i < info->n_nodes; i++)
		layer_of_node(
			pare_model_node(left ? left : m, i), pare_model_node(m, i), p, &layers[i]);
	pare_model_free(left);
	*out = (struct pare_plugin_work){ sizeof *out, sizeof *layers, info->n_nodes, layers };
	return PARE_OK;
}
