#include "solve.h"
#include <cblas.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* From OpenBLAS's LAPACK. */
extern void dpotrf_(const char *uplo, const int *n, double *a, const int *lda, int *info);
extern void dpotri_(const char *uplo, const int *n, double *a, const int *lda, int *info);

bool pare_invert(double *a, const double *h, int k, double ridge)
{
	for (int tries = 0; tries < 12; tries++, ridge *= 10) {
		int info;

		memcpy(a, h, (size_t)k * (size_t)k * sizeof *a);
		for (int i = 0; i < k; i++)
			a[(size_t)i * (size_t)k + (size_t)i] += ridge;
		dpotrf_("L", &k, a, &k, &info);
		if (!info)
			dpotri_("L", &k, a, &k, &info);
		if (info)
			continue;
		/* the lower half by columns is the upper half by rows */
		for (size_t i = 0; i < (size_t)k; i++)
			for (size_t j = 0; j < i; j++)
				a[i * (size_t)k + j] = a[j * (size_t)k + i];
		return true;
	}
	return false;
}

enum pare_status pare_solve_new(const double *h, const double *c, const double *was, int k, int o,
	double ridge, struct pare_solve *out, struct pare_err *err)
{
	size_t kk = (size_t)k * (size_t)k, ok = (size_t)o * (size_t)k;
	struct pare_solve s = { .k = k,
		.o = o,
		.hinv = malloc(kk * sizeof(double)),
		.w = malloc(ok * sizeof(double)) };
	double *rest = malloc(ok * sizeof *rest), mean = 0;
	enum pare_status st = PARE_OK;

	if (!s.hinv || !s.w || !rest) {
		st = pare_nomem(err, "a layer's least squares");
		goto out;
	}
	for (int i = 0; i < k; i++)
		mean += h[(size_t)i * (size_t)k + (size_t)i] / k;
	if (!isfinite(mean) || !pare_invert(s.hinv, h, k, ridge * mean + 1e-30)) {
		st = pare_fail(err, PARE_E_ARG, "its inputs are not finite");
		goto out;
	}
	cblas_dgemm(
		CblasRowMajor, CblasNoTrans, CblasNoTrans, o, k, k, 1, was, k, h, k, 0, rest, k);
	for (size_t i = 0; i < ok; i++) {
		s.energy += rest[i] * was[i];
		rest[i] = c[i] - rest[i];
	}
	s.energy = s.energy > 1e-30 ? s.energy : 1e-30;
	memcpy(s.w, was, ok * sizeof *s.w);
	cblas_dgemm(CblasRowMajor, CblasNoTrans, CblasNoTrans, o, k, k, 1, rest, k, s.hinv, k, 1,
		s.w, k);
out:
	free(rest);
	if (st)
		pare_solve_free(&s);
	else
		*out = s;
	return st;
}

void pare_solve_free(struct pare_solve *s)
{
	free(s->hinv);
	free(s->w);
	*s = (struct pare_solve){ 0 };
}

/* Cholesky factor of Hinv_BB into l [n][n]; small, so by hand. */
static void factor(const struct pare_solve *s, const int *at, int n, double *l)
{
	for (int i = 0; i < n; i++)
		for (int j = 0; j <= i; j++) {
			double sum = s->hinv[(size_t)at[i] * (size_t)s->k + (size_t)at[j]];

			for (int m = 0; m < j; m++)
				sum -= l[i * n + m] * l[j * n + m];
			/* what was taken out before, or never was there, has no more to give */
			l[i * n + j] =
				i == j ? sqrt(sum > 1e-300 ? sum : 1e-300) : sum / l[j * n + j];
		}
}

double pare_solve_cost(const struct pare_solve *s, const int *at, int n, double *room)
{
	double *l = room, *y = room + (size_t)n * (size_t)n, sum = 0;

	factor(s, at, n, l);
	for (int o = 0; o < s->o; o++)
		for (int i = 0; i < n; i++) {
			double v = s->w[(size_t)o * (size_t)s->k + (size_t)at[i]];

			for (int j = 0; j < i; j++)
				v -= l[i * n + j] * y[j];
			y[i] = v / l[i * n + i];
			sum += y[i] * y[i];
		}
	return sum / s->energy;
}

void pare_solve_drop(struct pare_solve *s, const int *at, int n, double *room)
{
	size_t k = (size_t)s->k;
	double *l = room, *t = room + (size_t)n * (size_t)n; /* t: [n][k] L^-1 Hinv_B: */

	factor(s, at, n, l);
	for (int i = 0; i < n; i++) {
		double *row = t + (size_t)i * k;

		memcpy(row, s->hinv + (size_t)at[i] * k, k * sizeof *row);
		for (int j = 0; j < i; j++)
			cblas_daxpy(s->k, -l[i * n + j], t + (size_t)j * k, 1, row, 1);
		cblas_dscal(s->k, 1 / l[i * n + i], row, 1);
	}
	for (int o = 0; o < s->o; o++) {
		double *w = s->w + (size_t)o * k;

		/* y = L^-1 w_B, then w -= y' t; t's own columns B are those of L' */
		for (int i = 0; i < n; i++)
			cblas_daxpy(s->k, -w[at[i]] / l[i * n + i], t + (size_t)i * k, 1, w, 1);
		for (int i = 0; i < n; i++)
			w[at[i]] = 0;
	}
	cblas_dsyrk(CblasRowMajor, CblasUpper, CblasTrans, s->k, n, -1, t, s->k, 1, s->hinv, s->k);
	for (size_t i = 0; i < k; i++)
		for (size_t j = 0; j < i; j++)
			s->hinv[i * k + j] = s->hinv[j * k + i];
	for (int i = 0; i < n; i++) /* exactly: they are no part of it any more */
		for (size_t j = 0; j < k; j++)
			s->hinv[(size_t)at[i] * k + j] = s->hinv[j * k + (size_t)at[i]] = 0;
}
