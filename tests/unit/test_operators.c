/* The table of operators is what the rows say.  With --write it is written anew. */
#include "engine/onnx/fused.h"
#include "engine/ops/op.h"
#include "tests/tap.h"
#include <limits.h>

/* All that ONNX names in its default domain, opset 28. */
static const char standard[] =
	"Abs Acos Acosh Add AffineGrid And ArgMax ArgMin Asin Asinh Atan Atanh Attention "
	"AveragePool BatchNormalization Bernoulli BitCast BitShift BitwiseAnd BitwiseNot "
	"BitwiseOr BitwiseXor BlackmanWindow Cast CastLike CausalConvWithState Ceil Celu "
	"CenterCropPad Clip Col2Im Compress Concat ConcatFromSequence Constant ConstantOfShape "
	"Conv ConvInteger ConvTranspose Cos Cosh CumProd CumSum DFT DeformConv DepthToSpace "
	"DequantizeLinear Det Div Dropout DynamicQuantizeLinear Einsum Elu Equal Erf Exp Expand "
	"EyeLike Flatten Floor GRU Gather GatherElements GatherND Gelu Gemm GlobalAveragePool "
	"GlobalLpPool GlobalMaxPool Greater GreaterOrEqual GridSample GroupNormalization "
	"HammingWindow HannWindow HardSigmoid HardSwish Hardmax Identity If ImageDecoder "
	"InstanceNormalization IsInf IsNaN LRN LSTM LayerNormalization LeakyRelu Less "
	"LessOrEqual LinearAttention Log LogSoftmax Loop LpNormalization LpPool MatMul "
	"MatMulInteger Max MaxPool MaxRoiPool MaxUnpool Mean MeanVarianceNormalization "
	"MelWeightMatrix Min Mish Mod Mul Multinomial Neg NegativeLogLikelihoodLoss "
	"NonMaxSuppression NonZero Not OneHot Optional OptionalGetElement OptionalHasElement Or "
	"PRelu Pad Pow QLinearConv QLinearMatMul QuantizeLinear RMSNormalization RNN "
	"RandomNormal RandomNormalLike RandomUniform RandomUniformLike Range Reciprocal "
	"ReduceL1 ReduceL2 ReduceLogSum ReduceLogSumExp ReduceMax ReduceMean ReduceMin "
	"ReduceProd ReduceSum ReduceSumSquare RegexFullMatch Relu Reshape Resize "
	"ReverseSequence RoiAlign RotaryEmbedding Round STFT Scan Scatter ScatterElements "
	"ScatterND Selu SequenceAt SequenceConstruct SequenceEmpty SequenceErase SequenceInsert "
	"SequenceLength SequenceMap Shape Shrink Sigmoid Sign Sin Sinh Size Slice Softmax "
	"SoftmaxCrossEntropyLoss Softplus Softsign SpaceToDepth Split SplitToSequence Sqrt "
	"Squeeze StringConcat StringNormalizer StringSplit Sub Sum SwiGLU Swish Tan Tanh "
	"TensorScatter TfIdfVectorizer ThresholdedRelu Tile TopK Transpose Trilu Unique "
	"Unsqueeze Upsample Where Xor";

enum { MOST = 512 };

static const char *const flows[] = { [PARE_FLOW_BLOCK] = "",
	[PARE_FLOW_PASS] = "pass",
	[PARE_FLOW_TIE] = "tie",
	[PARE_FLOW_STACK] = "stack",
	[PARE_FLOW_CAT] = "concatenate",
	[PARE_FLOW_SPREAD] = "spread",
	[PARE_FLOW_SPLIT] = "split",
	[PARE_FLOW_MOVE] = "move",
	[PARE_FLOW_PAD] = "pad",
	[PARE_FLOW_PRODUCE] = "layer",
	[PARE_FLOW_HEADS] = "heads",
	[PARE_FLOW_STATES] = "layer" };

static int by_name(const void *a, const void *b)
{
	const struct pare_op *const *x = a, *const *y = b;

	return strcmp((*x)->name, (*y)->name);
}

static bool has_row(const char *name, size_t n)
{
	const struct pare_op *op;

	for (int i = 0; (op = pare_op_row(i)); i++)
		if (!op->domain && strlen(op->name) == n && !strncmp(op->name, name, n))
			return true;
	return false;
}

static void print_inputs(FILE *f, const struct pare_op *op)
{
	if (op->max_in < 0)
		fprintf(f, "%d or more", op->min_in);
	else if (op->max_in > op->min_in)
		fprintf(f, "%d to %d", op->min_in, op->max_in);
	else
		fprintf(f, "%d", op->min_in);
}

static void print_rows(FILE *f)
{
	const struct pare_op *rows[MOST], *op;
	size_t n = 0;

	while (n < MOST && (op = pare_op_row((int)n)))
		rows[n++] = op;
	qsort(rows, n, sizeof *rows, by_name);
	fprintf(f,
		"# Operators\n\nWritten by `make operators` from the rows in this directory.\n\n"
		"*Opset* is the lowest in which the form that a row reads is legal: it is what "
		"export writes. Older\nforms are read too, where they can be told in the newer "
		"one. *Channels* says how a channel that comes in\nmaps to those that go out, "
		"so whether pruning can reach through; a *weight* has dials.\n\n"
		"%zu operators run:\n\n"
		"| operator | opset | inputs | outputs | channels | weight |\n"
		"| --- | --- | --- | --- | --- | --- |\n",
		n);
	for (size_t i = 0; i < n; i++) {
		op = rows[i];
		fprintf(f, "| %s%s%s | %d | ", op->domain ? op->domain : "", op->domain ? "." : "",
			op->name, op->since);
		print_inputs(f, op);
		if (op->max_out == INT_MAX)
			fprintf(f, " | any");
		else
			fprintf(f, " | %d", op->max_out ? op->max_out : 1);
		fprintf(f, " | %s | %s |\n", flows[op->flow], op->weight ? "yes" : "");
	}
}

static void print_fused(FILE *f)
{
	static const struct pare_fused *const tables[] = { pare_fused_floats, pare_fused_integers };

	fprintf(f,
		"\nOf com.microsoft, which optimizers write, these are read as what they are made "
		"of:\n\n| operator | becomes | not read |\n| --- | --- | --- |\n");
	for (int i = 0; i < 2; i++)
		for (const struct pare_fused *x = tables[i]; x->name; x++)
			fprintf(f, "| %s | %s | %s |\n", x->name, x->made_of,
				x->lacks ? x->lacks : "");
}

static void print_missing(FILE *f)
{
	size_t column = 0;

	fprintf(f, "\nNot there; a network that needs one is opened, and the node named:\n\n");
	for (const char *s = standard; *s;) {
		size_t n = strcspn(s, " ");

		if (!has_row(s, n)) {
			if (column + n > 98) {
				fprintf(f, "\n");
				column = 0;
			}
			fprintf(f, "%s%.*s", column ? " " : "", (int)n, s);
			column += n + 1;
		}
		s += n + (s[n] == ' ');
	}
	fprintf(f, "\n");
}

static void print_all(FILE *f)
{
	print_rows(f);
	print_fused(f);
	print_missing(f);
}

static const char path[] = "engine/ops/OPERATORS.md";

static void the_table_is_up_to_date(void)
{
	char *want = NULL, got[1 << 16];
	size_t len = 0, n = 0;
	FILE *f = open_memstream(&want, &len);

	if (!ok(f != NULL, "there is memory"))
		return;
	print_all(f);
	fclose(f);
	f = fopen(path, "r");
	if (f) {
		n = fread(got, 1, sizeof got, f);
		fclose(f);
	}
	ok(n == len && !memcmp(got, want, len), "%s is what the rows say (make operators)", path);
	free(want);
}

int main(int argc, char **argv)
{
	if (argc > 1 && !strcmp(argv[1], "--write")) {
		FILE *f = fopen(path, "w");

		if (!f)
			return 1;
		print_all(f);
		return fclose(f) != 0;
	}
	the_table_is_up_to_date();
	return tap_done();
}
