/* Quantizers that take their bounds from each sample as it runs, as ONNX's DynamicQuantizeLinear
 * has them: codes 0…255, zero among them. */
#include "program.h"
#include <math.h>

void pare_quantize_dynamic(const struct pare_tensor *x, float *out)
{
	size_t n = (size_t)pare_shape_elems(&x->shape), lanes = (size_t)x->lanes;

	for (size_t l = 0; l < lanes; l++) {
		float lo = 0, hi = 0, scale, zero;

		for (size_t i = l; i < n * lanes; i += lanes) {
			lo = x->f32[i] < lo ? x->f32[i] : lo;
			hi = x->f32[i] > hi ? x->f32[i] : hi;
		}
		scale = (hi - lo) / 255;
		scale = scale > 0 ? scale : 1;
		zero = rintf(fminf(fmaxf(-lo / scale, 0), 255));
		for (size_t i = l; i < n * lanes; i += lanes) {
			float q = rintf(x->f32[i] / scale) + zero;

			out[i] = ((q < 0 ? 0 : q > 255 ? 255 : q) - zero) * scale;
		}
	}
}
