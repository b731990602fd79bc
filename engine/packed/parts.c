/* What the parts of a record are: how large, and where an element of a site lies. */
#include "../quantize/grid.h"
#include "packed.h"

static int64_t bytes_of(int64_t n, int bits)
{
	return (n * bits + 7) / 8;
}

int64_t pare_packed_sites(const struct pare_packed_record *r)
{
	return pare_shape_elems(&r->shape) / r->tall / r->wide;
}

int64_t pare_packed_element(const struct pare_packed_record *r, int64_t at, int64_t j)
{
	struct pare_channels c = pare_channels_of(&r->shape, r->rows);
	int64_t sites = c.outer * c.inner / r->wide, strip = at / sites, site = at % sites;
	int64_t column = (site / r->inner * r->wide + j % r->wide) * r->inner + site % r->inner;

	return pare_channel_at(&c, strip * r->tall + j / r->wide, column);
}

int64_t pare_packed_scales(const struct pare_packed_record *r)
{
	struct pare_channels c = pare_channels_of(&r->shape, r->axis);
	int64_t n = c.outer * c.inner;

	if (r->type != PARE_UNDEFINED)
		return 0;
	return c.channels * (r->group && n ? (n - 1) / r->group + 1 : 1);
}

int64_t pare_packed_scale_at(const struct pare_packed_record *r, int64_t i)
{
	struct pare_channels c = pare_channels_of(&r->shape, r->axis);
	int64_t n = c.outer * c.inner, o = i / c.inner % c.channels;
	int64_t within = i / c.inner / c.channels * c.inner + i % c.inner;

	return r->group ? o * ((n - 1) / r->group + 1) + within / r->group : o;
}

bool pare_packed_parts(const struct pare_packed_record *r, struct pare_packed_parts *out)
{
	int64_t n = pare_shape_elems(&r->shape), scales;
	struct pare_packed_parts p = { 0 };
	struct pare_channels c;

	if (r->role == PARE_PACKED_QUANTIZER) {
		*out = p;
		return true;
	}
	if (n < 0 || r->bits < 1 || r->bits > 64 || r->axis >= r->shape.n)
		return false;
	if (r->gone) {
		if (r->rows < 0 || r->rows >= r->shape.n || n == 0)
			return false;
		c = pare_channels_of(&r->shape, r->rows);
		if (r->tall < 1 || r->wide < 1 || r->inner < 1 || r->tall > PARE_PACKED_SITE ||
			r->wide > PARE_PACKED_SITE || c.channels % r->tall ||
			c.outer * c.inner % r->wide || c.outer * c.inner / r->wide % r->inner ||
			r->gone < 0 || r->gone > pare_packed_sites(r))
			return false;
		p.bitmap = bytes_of(pare_packed_sites(r), 1);
		n -= r->gone * r->tall * r->wide;
	}
	p.values = bytes_of(n, r->bits);
	scales = pare_packed_scales(r);
	p.scales = scales * (r->powers ? 1 : (int64_t)sizeof(float));
	p.zeros = r->zeros ? bytes_of(scales, r->bits) : 0;
	*out = p;
	return true;
}
