#include "../base/err.h"
#include "exits.h"
#include <cblas.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* LAPACK, as it comes with OpenBLAS */
extern void dsyev_(const char *jobz, const char *uplo, const int *n, double *a, const int *lda,
	double *w, double *work, const int *lwork, int *info);

struct ridge {
	int n, f, k;
	double *x, *y; /* [n][f], [n][k], about their means */
	double *x_mean, *y_mean;
	double *axes, *power; /* [f][f], [f]: eigenvectors (a row each) and eigenvalues of x'x */
	double *z;            /* [n][f] x along the axes */
	double *c;            /* [f][k] z'y */
	double *d, *guess;    /* [f][k] c damped; [n][k] */
	double *work;
};

static bool make_room(struct ridge *r)
{
	size_t n = (size_t)r->n, f = (size_t)r->f, k = (size_t)r->k;

	return (r->x = malloc(n * f * sizeof(double))) && (r->y = malloc(n * k * sizeof(double))) &&
	       (r->x_mean = calloc(f, sizeof(double))) && (r->y_mean = calloc(k, sizeof(double))) &&
	       (r->axes = malloc(f * f * sizeof(double))) &&
	       (r->power = malloc(f * sizeof(double))) && (r->z = malloc(n * f * sizeof(double))) &&
	       (r->c = malloc(f * k * sizeof(double))) && (r->d = malloc(f * k * sizeof(double))) &&
	       (r->guess = malloc(n * k * sizeof(double))) &&
	       (r->work = malloc(34 * f * sizeof(double)));
}

static void free_room(struct ridge *r)
{
	double *all[] = { r->x, r->y, r->x_mean, r->y_mean, r->axes, r->power, r->z, r->c, r->d,
		r->guess, r->work };

	for (size_t i = 0; i < sizeof all / sizeof *all; i++)
		free(all[i]);
}

static void center(const float *from, int n, int f, double *to, double *mean)
{
	for (int i = 0; i < n; i++)
		for (int j = 0; j < f; j++)
			mean[j] += (double)from[(size_t)i * f + j] / n;
	for (int i = 0; i < n; i++)
		for (int j = 0; j < f; j++)
			to[(size_t)i * f + j] = (double)from[(size_t)i * f + j] - mean[j];
}

/* x along the axes of its own spread: there the normal equations fall apart. */
static enum pare_status rotate(struct ridge *r, struct pare_err *err)
{
	int info = 0, room = 34 * r->f;

	cblas_dgemm(CblasRowMajor, CblasTrans, CblasNoTrans, r->f, r->f, r->n, 1, r->x, r->f, r->x,
		r->f, 0, r->axes, r->f);
	dsyev_("V", "U", &r->f, r->axes, &r->f, r->power, r->work, &room, &info);
	if (info)
		return pare_fail(err, PARE_E_ARG, "the features of an exit are not finite");
	cblas_dgemm(CblasRowMajor, CblasNoTrans, CblasTrans, r->n, r->f, r->f, 1, r->x, r->f,
		r->axes, r->f, 0, r->z, r->f);
	cblas_dgemm(CblasRowMajor, CblasTrans, CblasNoTrans, r->f, r->k, r->n, 1, r->z, r->f, r->y,
		r->k, 0, r->c, r->k);
	return PARE_OK;
}

/* Guesses apart with this ridge; their mean squared error. */
static double try_ridge(struct ridge *r, double ridge)
{
	double sum = 0;

	for (int j = 0; j < r->f; j++)
		for (int q = 0; q < r->k; q++)
			r->d[j * r->k + q] = r->c[j * r->k + q] / (r->power[j] + ridge);
	cblas_dgemm(CblasRowMajor, CblasNoTrans, CblasNoTrans, r->n, r->k, r->f, 1, r->z, r->f,
		r->d, r->k, 0, r->guess, r->k);
	for (int i = 0; i < r->n; i++) {
		double pull = 1.0 / r->n; /* of the sample on its own guess */

		for (int j = 0; j < r->f; j++)
			pull += r->z[(size_t)i * r->f + j] * r->z[(size_t)i * r->f + j] /
				(r->power[j] + ridge);
		for (int q = 0; q < r->k; q++) {
			double y = r->y[(size_t)i * r->k + q], *g = &r->guess[(size_t)i * r->k + q];
			double off = (y - *g) / (pull < 1 ? 1 - pull : 1e-12);

			*g = y - off;
			sum += off * off;
		}
	}
	return sum / ((double)r->n * r->k);
}

static void take(struct ridge *r, float *w, float *b, float *apart)
{
	double *full = r->work; /* [f] one answer's weights */

	for (int q = 0; q < r->k; q++) {
		double at_mean = r->y_mean[q];

		cblas_dgemv(CblasRowMajor, CblasTrans, r->f, r->f, 1, r->axes, r->f, r->d + q, r->k,
			0, full, 1);
		for (int j = 0; j < r->f; j++) {
			w[(size_t)j * r->k + q] = (float)full[j];
			at_mean -= full[j] * r->x_mean[j];
		}
		b[q] = (float)at_mean;
	}
	for (int i = 0; i < r->n; i++)
		for (int q = 0; q < r->k; q++)
			apart[(size_t)i * r->k + q] =
				(float)(r->guess[(size_t)i * r->k + q] + r->y_mean[q]);
}

enum pare_status pare_ridge(const float *x, const float *y, int n, int f, int k, float *w, float *b,
	float *apart, struct pare_err *err)
{
	struct ridge r = { .n = n, .f = f, .k = k };
	enum pare_status st = make_room(&r) ? PARE_OK : pare_nomem(err, "the fit of an exit");
	double best = INFINITY, ridge = 0, mean = 0;

	if (!st) {
		center(x, n, f, r.x, r.x_mean);
		center(y, n, k, r.y, r.y_mean);
		st = rotate(&r, err);
	}
	if (!st) {
		for (int j = 0; j < f; j++) {
			r.power[j] = r.power[j] > 0 ? r.power[j] : 0;
			mean += r.power[j] / f;
		}
		mean = mean > 0 ? mean : 1;
		for (double share = 1e-6; share < 20; share *= 10) {
			double error = try_ridge(&r, share * mean);

			if (error < best) {
				best = error;
				ridge = share * mean;
			}
		}
		try_ridge(&r, ridge > 0 ? ridge : mean);
		take(&r, w, b, apart);
	}
	free_room(&r);
	return st;
}
