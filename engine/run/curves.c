/* Exponentials and their kin over whole tensors: the formulas of ops/curves.h, which compilers
 * vectorize as they stand. */
#include "../ops/curves.h"
#include "vector.h"

#define CURVE(name)                                                                                \
	static void name##_curve(const float *x, float *y, size_t n)                               \
	{                                                                                          \
		for (size_t i = 0; i < n; i++)                                                     \
			y[i] = op_##name(x[i]);                                                    \
	}
CURVE(exp)
CURVE(logistic)
CURVE(tanh)
CURVE(erf)

pare_curve_fn *const
	VECTOR_NAME(curves)[PARE_CURVES] = { exp_curve, logistic_curve, tanh_curve, erf_curve };
