#include "work.h"
#include <stdlib.h>
#include <string.h>

/* `of`: the node of the whole model that it is, or is a part of. */
static void layer_of_node(const struct pare_node_info *n, const struct pare_node_info *of,
	const struct pare_plan *p, struct pare_plugin_layer *out)
{
	const struct pare_dials none = { 0 }, *d = p && n->layer >= 0 ? &p->dials[n->layer] : &none;
	const struct pare_format *w = &pare_formats[d->weights], *a = &pare_formats[d->activations];

	*out = (struct pare_plugin_layer){
		.name = of->name, /* the shapes that are left do not live on */
		.op = of->op,
		.kind = (int32_t)pare_work_kind(
			n->op, n->kernel, n->groups, n->in_channels, n->layer >= 0),
		.layer = of->layer,
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
	struct pare_left left = { 0 };
	const struct pare_model *now = m;
	int n = info->n_nodes, of = 0;

	if (info->n_unsupported)
		return pare_fail(err, PARE_E_UNSUPPORTED,
			"what '%s' (%s) takes is not known, so neither is what the network does",
			pare_model_unsupported(m, 0)->node, pare_model_unsupported(m, 0)->op);
	if (p) {
		enum pare_status st = pare_plan_shapes(m, p, &left, err);

		if (st)
			return st;
		now = left.model;
		n = pare_model_info(now)->n_nodes;
	}
	layers = calloc((size_t)n + 1, sizeof *layers);
	if (!layers) {
		pare_left_free(&left);
		return pare_nomem(err, "the list of layers");
	}
	for (int i = 0; i < n; i++) {
		const struct pare_node_info *x = pare_model_node(now, i);
		/* parts of a layer stand one behind the other */
		bool first = left.plan && x->layer >= 0 && x->layer + 1 < left.plan->n &&
			     left.whole[x->layer] == left.whole[x->layer + 1];

		layer_of_node(x, pare_model_node(m, of), left.plan, &layers[i]);
		of += !first;
	}
	pare_left_free(&left);
	*out = (struct pare_plugin_work){ sizeof *out, sizeof *layers, n, layers };
	return PARE_OK;
}
