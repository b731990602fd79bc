#include "work.h"
#include <string.h>

/* Operators that are not PARE_WORK_OTHER; "conv" stands for all convolutions.  Beside ONNX's names
 * stand those of the published lists of layers. */
enum family { FAMILY_OTHER, FAMILY_CONV, FAMILY_DENSE, FAMILY_FREE };
static const struct {
	const char *op;
	enum family family;
} ops[] = {
	/* clang-format off */
	{ "Conv", FAMILY_CONV }, { "ConvTranspose", FAMILY_CONV },
	{ "DW", FAMILY_CONV }, { "GroupConv", FAMILY_CONV },
	{ "Gemm", FAMILY_DENSE }, { "MatMul", FAMILY_DENSE }, { "FC", FAMILY_DENSE },
	{ "LSTM", FAMILY_DENSE }, { "GRU", FAMILY_DENSE }, { "RNN", FAMILY_DENSE },
	/* runtimes fuse these into the layer before … */
	{ "Relu", FAMILY_FREE }, { "Clip", FAMILY_FREE }, { "BatchNormalization", FAMILY_FREE },
	/* … and these move no data */
	{ "Flatten", FAMILY_FREE }, { "Reshape", FAMILY_FREE }, { "Identity", FAMILY_FREE },
	{ "Dropout", FAMILY_FREE }, { "Squeeze", FAMILY_FREE }, { "Unsqueeze", FAMILY_FREE },
	{ "Cast", FAMILY_FREE }, { "Constant", FAMILY_FREE }, { "Shape", FAMILY_FREE },
	{ "Input", FAMILY_FREE }, { "Noop", FAMILY_FREE }, { "MemoryData", FAMILY_FREE },
	/* clang-format on */
};

enum pare_plugin_kind
pare_work_kind(const char *op, int kernel, int groups, int64_t in_channels, bool weights)
{
	enum family family = FAMILY_OTHER;

	for (size_t i = 0; i < sizeof ops / sizeof *ops; i++)
		if (!strcmp(op, ops[i].op))
			family = ops[i].family;
	if (family == FAMILY_CONV)
		return groups > 1 ? groups == in_channels ? PARE_WORK_DEPTHWISE : PARE_WORK_GROUPED
		       : kernel > 1 ? PARE_WORK_CONV
				    : PARE_WORK_POINTWISE;
	if (family == FAMILY_DENSE)
		return PARE_WORK_DENSE;
	if (family == FAMILY_FREE && !weights)
		return PARE_WORK_FREE;
	return PARE_WORK_OTHER;
}
