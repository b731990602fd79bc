/* The dials that are rows, one by one, for those who look at all of them alike. */
#ifndef PARE_FIELDS_H
#define PARE_FIELDS_H
#include "../pare.h"

struct pare_field {
	size_t at;               /* of its uint8_t in struct pare_dials */
	enum pare_method family; /* PARE_N_METHODS: a row of pare_formats */
	/* Whether it changes anything, the other dials being as they are; NULL = always. */
	bool (*matters)(const struct pare_dials *d);
};
/* In the order in which a plan is stored and hashed; new ones go to the end. */
extern const struct pare_field pare_fields[];
extern const int pare_n_fields;

static inline uint8_t *pare_field_of(struct pare_dials *d, int i)
{
	return (uint8_t *)d + pare_fields[i].at;
}

/* Names a row that there is. */
bool pare_field_valid(int i, uint8_t value);

#endif
