/*
 * vdisk.c - handles of virtual disks: references to an open store, nothing more.
 */
#include <stdlib.h>
#include <string.h>

#include "liblbs/store/internal.h"

API int
lbs_vdisk_open(lbs_store *s, const char *name, lbs_vdisk **out)
{
	lbs_vdisk *v;

	*out = NULL;
	if (s->forks != store_forks())
		return LBS_EFORK;
	if (!name || !*name)
		name = "disk";
	for (int i = 0; i < s->vdisk_count; i++) {
		if (strcmp(s->vdisks[i].name, name))
			continue;
		v = calloc(1, sizeof *v);
		if (!v)
			return LBS_ENOMEM;
		v->store = s;
		strcpy(v->name, name);
		v->size_bytes = s->vdisks[i].size_bytes;
		v->layer = s->vdisks[i].layer;
		ahead_init(&v->ahead);
		*out = v;
		return 0;
	}
	return LBS_ENOENT;
}

API void
lbs_vdisk_close(lbs_vdisk *v)
{
	if (v)
		ahead_free(&v->ahead);
	free(v);
}

API uint64_t
lbs_vdisk_size(const lbs_vdisk *v)
{
	return v->size_bytes;
}

API const char *
lbs_vdisk_name(const lbs_vdisk *v)
{
	return v->name;
}
