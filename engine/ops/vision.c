/* Operators of detection networks: sampling at computed places, choosing among boxes. */
#include "../graph/model.h"
#include "kit.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

struct vision {
	const char *mode, *padding, *coordinate;
	int64_t align, height, width, ratio, center;
	float spatial;
};
#define AT(f) offsetof(struct vision, f)
static const struct pare_attr grid_attrs[] = { { "mode", PARE_ATTR_STRING, AT(mode), 0, 0 },
	{ "padding_mode", PARE_ATTR_STRING, AT(padding), 0, 0 },
	{ "align_corners", PARE_ATTR_INT, AT(align), 0, 0 }, { 0 } };
static const struct pare_attr affine_attrs[] = {
	{ "align_corners", PARE_ATTR_INT, AT(align), 0, 0 }, { 0 }
};
static const struct pare_attr roi_attrs[] = { { "mode", PARE_ATTR_STRING, AT(mode), 0, 0 },
	{ "coordinate_transformation_mode", PARE_ATTR_STRING, AT(coordinate), 0, 0 },
	{ "output_height", PARE_ATTR_INT, AT(height), 1, 0 },
	{ "output_width", PARE_ATTR_INT, AT(width), 1, 0 },
	{ "sampling_ratio", PARE_ATTR_INT, AT(ratio), 0, 0 },
	{ "spatial_scale", PARE_ATTR_FLOAT, AT(spatial), 1, 0 }, { 0 } };
static const struct pare_attr boxes_attrs[] = {
	{ "center_point_box", PARE_ATTR_INT, AT(center), 0, 0 }, { 0 }
};

/* ---- GridSample ----------------------------------------------------------------------------- */

enum { ZEROS, BORDER, REFLECTION };

static bool is_linear(const struct vision *a)
{
	return op_word(a->mode, "linear", "linear") || op_word(a->mode, "linear", "bilinear");
}

static bool is_cubic(const struct vision *a)
{
	return op_word(a->mode, "linear", "cubic") || op_word(a->mode, "linear", "bicubic");
}

static int padding_of(const struct vision *a)
{
	return op_word(a->padding, "zeros", "border")       ? BORDER
	       : op_word(a->padding, "zeros", "reflection") ? REFLECTION
							    : ZEROS;
}

static const char *refuse_grid(const struct pare_node *n, const void *attr)
{
	const struct vision *a = attr;

	(void)n;
	if (!is_linear(a) && !is_cubic(a) && !op_word(a->mode, "linear", "nearest"))
		return "its mode";
	return padding_of(a) || op_word(a->padding, "zeros", "zeros") ? NULL : "its padding_mode";
}

static enum pare_status shape_grid(const struct pare_shape_call *c, struct pare_err *err)
{
	const struct pare_shape *x = &c->in[0]->shape, *g = &c->in[1]->shape;
	enum pare_status st = op_types(c, 0, OP_REALS, err);

	if (!st)
		st = op_types(c, 1, OP_REALS, err);
	if (!st && (x->n < 3 || x->n > 5))
		st = pare_fail(err, PARE_E_UNSUPPORTED, "1 to 3 spatial axes are supported");
	if (!st && (g->n != x->n || g->d[0] != x->d[0] || g->d[g->n - 1] != x->n - 2 ||
			   pare_shape_span(x, 2, x->n) < 1))
		st = pare_fail(err, PARE_E_FORMAT, "the grid does not fit the input");
	if (st)
		return st;
	c->out[0].dtype = c->in[0]->dtype;
	c->out[0].shape = *x;
	for (int k = 2; k < x->n; k++)
		c->out[0].shape.d[k] = g->d[k - 1];
	return PARE_OK;
}

/* Mirrored at lo and hi until it lies between them. */
static float reflect(float x, float lo, float hi)
{
	float range = hi - lo, d = x < lo ? lo - x : x - hi;
	int64_t turns;

	if (range <= 0 || (x >= lo && x <= hi) || !(fabsf(x) < 1e9f))
		return x >= lo && x <= hi ? x : lo;
	turns = (int64_t)(d / range);
	d -= (float)turns * range;
	return (x < lo) == (turns % 2 == 0) ? lo + d : hi - d;
}

/* Elements along one axis that a place takes from, and their weights. */
struct taps {
	int n;
	int64_t at[4]; /* -1: outside, counts as zero */
	float w[4];
};

static float cubic(float t)
{
	const float a = -0.75f;

	t = fabsf(t);
	return t <= 1  ? ((a + 2) * t - (a + 3)) * t * t + 1
	       : t < 2 ? ((a * t - 5 * a) * t + 8 * a) * t - 4 * a
		       : 0;
}

static struct taps taps_at(const struct vision *a, float v, int64_t n)
{
	float last = (float)(n - 1), lo = a->align ? 0 : -0.5f, hi = a->align ? last : last + 0.5f;
	float x = a->align ? (v + 1) / 2 * last : ((v + 1) * (float)n - 1) / 2;
	int pad = padding_of(a);
	struct taps t = { .n = is_cubic(a) ? 4 : is_linear(a) ? 2 : 1 };
	int64_t from;

	if (t.n == 1)
		x = rintf(x);
	if (t.n < 4 && pad == BORDER)
		x = x < 0 ? 0 : x > last ? last : x;
	else if (t.n < 4 && pad == REFLECTION)
		x = reflect(x, lo, hi);
	if (!(x > -1e9f && x < 1e9f))
		x = -1e9f;
	from = (int64_t)floorf(x);
	for (int i = 0; i < t.n; i++) {
		int64_t at = t.n == 4 ? from - 1 + i : from + i;
		float d = fabsf(x - (float)at);

		t.w[i] = t.n == 1 ? 1 : t.n == 2 ? 1 - d : cubic(d);
		if (pad == BORDER)
			at = at < 0 ? 0 : at >= n ? n - 1 : at;
		else if (pad == REFLECTION)
			at = (int64_t)reflect((float)at, lo, hi);
		t.at[i] = at < 0 || at >= n ? (pad == REFLECTION ? (at < 0 ? 0 : n - 1) : -1) : at;
	}
	return t;
}

static float gather_taps(
	const float *x, const struct pare_shape *s, const struct taps *t, int axis, int64_t from)
{
	float sum = 0;

	if (axis == s->n)
		return x[from];
	for (int i = 0; i < t->n; i++)
		if (t->at[i] >= 0 && t->w[i] != 0)
			sum += t->w[i] *
			       gather_taps(x, s, t + 1, axis + 1, from * s->d[axis] + t->at[i]);
	return sum;
}

static void grid_one(const struct pare_call *c)
{
	const struct vision *a = c->attr;
	const struct pare_shape *x = &c->in[0]->shape, *y = &c->out[0]->shape;
	size_t plane = op_span(x, 2, x->n), places = op_span(y, 2, y->n), ch = (size_t)x->d[1];
	int rank = x->n - 2;

	for (size_t i = 0; i < (size_t)x->d[0] * places; i++) {
		const float *g = c->in[1]->f32 + i * (size_t)rank;
		size_t n = i / places;
		struct taps t[3];

		for (int k = 0; k < rank; k++) /* the grid names the last axis first */
			t[k] = taps_at(a, g[rank - 1 - k], x->d[2 + k]);
		for (size_t k = 0; k < ch; k++)
			c->out[0]->f32[(n * ch + k) * places + i % places] =
				gather_taps(c->in[0]->f32 + (n * ch + k) * plane, x, t, 2, 0);
	}
}
OP_BY_LANE(grid)

/* ---- AffineGrid ----------------------------------------------------------------------------- */

static enum pare_status shape_affine(const struct pare_shape_call *c, struct pare_err *err)
{
	const struct pare_shape *t = &c->in[0]->shape;
	int64_t size[PARE_MAX_DIMS];
	int n = 0;
	enum pare_status st = op_types(c, 0, OP_REALS, err);

	if (!st)
		st = pare_const_ints(c, 1, size, &n, err);
	if (!st && ((n != 4 && n != 5) || t->n != 3 || t->d[0] != size[0] || t->d[1] != n - 2 ||
			   t->d[2] != n - 1))
		st = pare_fail(err, PARE_E_FORMAT, "the matrices do not fit the size");
	for (int k = 0; k < n && !st; k++)
		if (size[k] < 0)
			st = pare_fail(err, PARE_E_FORMAT, "a size below 0");
	if (st)
		return st;
	c->out[0].dtype = c->in[0]->dtype;
	c->out[0].shape = (struct pare_shape){ n, { size[0] } };
	for (int k = 2; k < n; k++)
		c->out[0].shape.d[k - 1] = size[k];
	c->out[0].shape.d[n - 1] = n - 2;
	return PARE_OK;
}

static void affine_one(const struct pare_call *c)
{
	const struct vision *a = c->attr;
	const struct pare_shape *y = &c->out[0]->shape;
	int rank = y->n - 2;
	size_t places = op_span(y, 1, y->n - 1);

	for (size_t i = 0; i < (size_t)y->d[0] * places; i++) {
		const float *theta = c->in[0]->f32 + i / places * (size_t)(rank * (rank + 1));
		float *out = c->out[0]->f32 + i * (size_t)rank, at[4];
		size_t rest = i % places;

		for (int k = rank; k-- > 0;) { /* at[0] is along the last axis */
			float n = (float)y->d[1 + k], v = (float)(rest % (size_t)y->d[1 + k]);

			rest /= (size_t)y->d[1 + k];
			at[rank - 1 - k] = !a->align ? (2 * v + 1) / n - 1
					   : n > 1   ? 2 * v / (n - 1) - 1
						     : -1;
		}
		at[rank] = 1;
		for (int k = 0; k < rank; k++) {
			out[k] = 0;
			for (int j = 0; j <= rank; j++)
				out[k] += theta[k * (rank + 1) + j] * at[j];
		}
	}
}
OP_BY_LANE(affine)

/* ---- RoiAlign ------------------------------------------------------------------------------- */

/* Before opset 16 boxes were not moved by half a pixel. */
static enum pare_status upgrade_roi(struct pare_node *n, int opset, struct pare_err *err)
{
	struct vision *a = n->attr;

	(void)err;
	if (opset < 16)
		a->coordinate = "output_half_pixel";
	return PARE_OK;
}

static const char *refuse_roi(const struct pare_node *n, const void *attr)
{
	const struct vision *a = attr;

	(void)n;
	if (!op_word(a->mode, "avg", "avg") && !op_word(a->mode, "avg", "max"))
		return "its mode";
	return a->height < 1 || a->width < 1 || a->height > 1 << 20 || a->width > 1 << 20 ||
			       a->ratio < 0 || a->ratio > 1 << 10
		       ? "its sizes"
		       : NULL;
}

static enum pare_status shape_roi(const struct pare_shape_call *c, struct pare_err *err)
{
	const struct vision *a = c->attr;
	const struct pare_shape *x = &c->in[0]->shape, *r = &c->in[1]->shape;
	enum pare_status st = op_types(c, 0, OP_REALS, err);

	if (!st)
		st = op_types(c, 1, OP_REALS, err);
	if (!st)
		st = op_types(c, 2, OP_T(PARE_I64), err);
	if (!st &&
		(x->n != 4 || r->n != 2 || r->d[1] != 4 ||
			pare_shape_elems(&c->in[2]->shape) != r->d[0] || pare_shape_elems(x) < 1))
		st = pare_fail(err, PARE_E_FORMAT, "boxes do not fit the input");
	c->out[0].dtype = c->in[0]->dtype;
	c->out[0].shape = (struct pare_shape){ 4, { r->d[0], x->d[1], a->height, a->width } };
	return st;
}

/* The four neighbours of a point, weighed; the larger of them when `max`. */
static float bilinear(const float *x, int64_t h, int64_t w, float py, float px, bool max)
{
	int64_t y0, x0, y1, x1;
	float fy, fx, v[4];

	if (!(py >= -1 && py <= (float)h && px >= -1 && px <= (float)w))
		return 0;
	py = py < 0 ? 0 : py;
	px = px < 0 ? 0 : px;
	y0 = (int64_t)py < h - 1 ? (int64_t)py : h - 1;
	x0 = (int64_t)px < w - 1 ? (int64_t)px : w - 1;
	y1 = y0 < h - 1 ? y0 + 1 : y0;
	x1 = x0 < w - 1 ? x0 + 1 : x0;
	fy = y0 == h - 1 ? 0 : py - (float)y0;
	fx = x0 == w - 1 ? 0 : px - (float)x0;
	v[0] = (1 - fy) * (1 - fx) * x[y0 * w + x0];
	v[1] = (1 - fy) * fx * x[y0 * w + x1];
	v[2] = fy * (1 - fx) * x[y1 * w + x0];
	v[3] = fy * fx * x[y1 * w + x1];
	if (max)
		return fmaxf(fmaxf(v[0], v[1]), fmaxf(v[2], v[3]));
	return v[0] + v[1] + v[2] + v[3];
}

/* A box on the input: where its first cell begins, and how large a cell is. */
struct box {
	float y, x, dy, dx;
	int64_t ny, nx; /* points a cell */
};

static struct box box_of(const struct vision *a, const float *roi)
{
	bool half = op_word(a->coordinate, "half_pixel", "half_pixel");
	float shift = half ? 0.5f : 0, h = (roi[3] - roi[1]) * a->spatial;
	float w = (roi[2] - roi[0]) * a->spatial;
	struct box b = { roi[1] * a->spatial - shift, roi[0] * a->spatial - shift, 0, 0, 0, 0 };

	if (!half) {
		h = h < 1 ? 1 : h;
		w = w < 1 ? 1 : w;
	}
	b.dy = h / (float)a->height;
	b.dx = w / (float)a->width;
	b.ny = a->ratio ? a->ratio : b.dy > 0 && b.dy < 1e4f ? (int64_t)ceilf(b.dy) : 1;
	b.nx = a->ratio ? a->ratio : b.dx > 0 && b.dx < 1e4f ? (int64_t)ceilf(b.dx) : 1;
	return b;
}

static float cell(const struct vision *a, const struct box *b, const float *x, int64_t h, int64_t w,
	int64_t i, int64_t j)
{
	bool max = op_word(a->mode, "avg", "max");
	float sum = 0, best = 0;

	for (int64_t p = 0; p < b->ny; p++)
		for (int64_t q = 0; q < b->nx; q++) {
			float y = b->y + ((float)i + ((float)p + 0.5f) / (float)b->ny) * b->dy;
			float z = b->x + ((float)j + ((float)q + 0.5f) / (float)b->nx) * b->dx;
			float v = bilinear(x, h, w, y, z, max);

			sum += v;
			best = (!p && !q) || v > best ? v : best;
		}
	return max ? best : sum / (float)(b->ny * b->nx);
}

static void roi_one(const struct pare_call *c)
{
	const struct vision *a = c->attr;
	const struct pare_shape *x = &c->in[0]->shape;
	int64_t rois = c->in[1]->shape.d[0], h = x->d[2], w = x->d[3];
	float *out = c->out[0]->f32;

	for (int64_t r = 0; r < rois; r++) {
		struct box b = box_of(a, c->in[1]->f32 + r * 4);
		int64_t n = c->in[2]->i64[r];

		n = (int64_t)op_place(c, n, (size_t)x->d[0]);
		for (int64_t k = 0; k < x->d[1]; k++)
			for (int64_t i = 0; i < a->height * a->width; i++)
				*out++ = cell(a, &b, c->in[0]->f32 + (n * x->d[1] + k) * h * w, h,
					w, i / a->width, i % a->width);
	}
}
OP_BY_LANE(roi)

/* ---- NonMaxSuppression ---------------------------------------------------------------------- */

struct corners {
	float y0, x0, y1, x1;
};

static struct corners corners_of(const float *b, bool center)
{
	struct corners k = { fminf(b[0], b[2]), fminf(b[1], b[3]), fmaxf(b[0], b[2]),
		fmaxf(b[1], b[3]) };

	if (center)
		k = (struct corners){ b[1] - b[3] / 2, b[0] - b[2] / 2, b[1] + b[3] / 2,
			b[0] + b[2] / 2 };
	return k;
}

static float overlap(const struct corners *a, const struct corners *b)
{
	float h = fminf(a->y1, b->y1) - fmaxf(a->y0, b->y0);
	float w = fminf(a->x1, b->x1) - fmaxf(a->x0, b->x0), both;
	float of_a = (a->y1 - a->y0) * (a->x1 - a->x0), of_b = (b->y1 - b->y0) * (b->x1 - b->x0);

	if (h <= 0 || w <= 0 || of_a <= 0 || of_b <= 0)
		return 0;
	both = h * w;
	return both / (of_a + of_b - both);
}

struct choice {
	const float *boxes, *scores;
	int64_t batches, classes, n, most;
	float iou, least;
	bool center;
};

/* Triples batch, class, box into `out`, unless it is NULL; returns how many.  gone: [n]. */
static int64_t choose(const struct choice *p, bool *gone, int64_t *out)
{
	int64_t found = 0;

	for (int64_t k = 0; k < p->batches * p->classes; k++) {
		const float *score = p->scores + k * p->n;
		const float *boxes = p->boxes + k / p->classes * p->n * 4;

		for (int64_t i = 0; i < p->n; i++)
			gone[i] = !(score[i] > p->least);
		for (int64_t taken = 0; taken < p->most; taken++) {
			struct corners b;
			int64_t best = -1;

			for (int64_t i = 0; i < p->n; i++)
				if (!gone[i] && (best < 0 || score[i] > score[best]))
					best = i;
			if (best < 0)
				break;
			if (out) {
				*out++ = k / p->classes;
				*out++ = k % p->classes;
				*out++ = best;
			}
			found++;
			b = corners_of(boxes + best * 4, p->center);
			gone[best] = true;
			for (int64_t i = 0; i < p->n; i++) {
				struct corners other = corners_of(boxes + i * 4, p->center);

				gone[i] = gone[i] || overlap(&b, &other) > p->iou;
			}
		}
	}
	return found;
}

static struct choice choice_of(const struct vision *a, const struct pare_tensor *const *in,
	const struct pare_shape *scores)
{
	struct choice p = { .boxes = in[0]->f32, .scores = in[1]->f32 };

	p.batches = scores->d[0];
	p.classes = scores->d[1];
	p.n = scores->d[2];
	p.most = in[2] ? op_get_int(in[2], 0) : 0;
	p.iou = in[3] ? in[3]->f32[0] : 0;
	p.least = in[4] ? in[4]->f32[0] : -INFINITY;
	p.center = a->center;
	return p;
}

static enum pare_status shape_boxes(const struct pare_shape_call *c, struct pare_err *err)
{
	const struct pare_shape *b = &c->in[0]->shape, *s = &c->in[1]->shape;
	const struct pare_tensor *in[5] = { NULL };
	enum pare_status st = PARE_OK;
	struct choice p;
	bool *gone;

	for (int i = 0; i < c->n_in && !st; i++) {
		if (!op_has(c, i))
			continue;
		st = op_types(c, i, i == 2 ? OP_T(PARE_I64) : OP_F32, err);
		if (!st)
			st = op_known(c, i, err);
		if (!st && i > 1 && pare_shape_elems(&c->in[i]->shape) != 1)
			st = pare_fail(err, PARE_E_FORMAT, "input %d is not one number", i);
		in[i] = c->in[i]->value;
	}
	if (!st && (b->n != 3 || s->n != 3 || b->d[2] != 4 || b->d[0] != s->d[0] ||
			   b->d[1] != s->d[2]))
		st = pare_fail(err, PARE_E_FORMAT, "boxes and scores do not fit each other");
	if (st)
		return st;
	p = choice_of(c->attr, in, s);
	if (!(gone = calloc((size_t)p.n + 1, sizeof *gone)))
		return pare_nomem(err, "boxes");
	c->out[0].dtype = PARE_I64;
	c->out[0].shape = (struct pare_shape){ 2, { choose(&p, gone, NULL), 3 } };
	free(gone);
	return PARE_OK;
}

static void boxes_one(const struct pare_call *c)
{
	const struct pare_tensor *in[5] = { NULL };
	struct choice p;

	for (int i = 0; i < c->n_in; i++)
		in[i] = c->in[i];
	p = choice_of(c->attr, in, &c->in[1]->shape);
	choose(&p, c->scratch, c->out[0]->i64);
}
OP_BY_LANE(boxes)

static size_t scratch_boxes(const struct pare_call *c)
{
	return op_lanes_scratch(c) + ((size_t)c->in[1]->shape.d[2] + 1) * sizeof(bool);
}

/* clang-format off */
#define VISION(n, v, least, most, at, sh, fw, ...)                                                 \
	{ .name = n, .since = v, .min_in = least, .max_in = most, .attrs = at,                     \
	  .attr_size = sizeof(struct vision), .shape = sh, .forward = fw, __VA_ARGS__ }
const struct pare_op pare_ops_vision[] = {
	VISION("GridSample", 20, 2, 2, grid_attrs, shape_grid, grid_forward,
	       .refuse = refuse_grid, .scratch = op_lanes_scratch,
	       .sample = "f32[1,2,3,4] f32[1,2,5,2]|"
			 "f32[1,1,4,4] f32[1,2,2,2] mode=cubic padding_mode=reflection|"
			 "f32[1,1,2,3,4] f32[1,1,2,2,3] mode=nearest padding_mode=border align_corners=1"),
	VISION("AffineGrid", 20, 2, 2, affine_attrs, shape_affine, affine_forward, .plain = 2,
	       .scratch = op_lanes_scratch,
	       .sample = "f32[1,2,3] i64{1,3,2,4}|f32[1,3,4] i64{1,1,2,3,2} align_corners=1"),
	VISION("RoiAlign", 16, 3, 3, roi_attrs, shape_roi, roi_forward, .refuse = refuse_roi,
	       .upgrade = upgrade_roi, .scratch = op_lanes_scratch,
	       .sample = "f32[1,2,6,6] f32+[3,4]! i64{0,0,0} output_height=2 output_width=3|"
			 "f32[1,2,6,6] f32[2,4] i64{0,0} mode=max sampling_ratio=2"),
	VISION("NonMaxSuppression", 11, 2, 5, boxes_attrs, shape_boxes, boxes_forward,
	       .scratch = scratch_boxes,
	       .sample = "f32+[1,5,4]! f32[1,2,5]! i64{3} f32{0.5}|"
			 "f32+[1,5,4]! f32[1,1,5]! i64{3} f32{0.5} f32{-0.5} center_point_box=1"),
	{ 0 } };
/* clang-format on */
