/*
 * look.c - lbs_card_look: what is found of a card, for those who ask. Must never
 * change anything on it.
 */
#include "liblbs/store/internal.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "liblbs/grow.h"
#include "liblbs/medium/probe.h"
#include "liblbs/store/fit.h"

static void
look_at_chunk(const char *dir, struct card_facts *facts)
{
	char name[MEDIUM_NAME_BYTES], path[4096];
	uint64_t place;
	int fd;

	medium_file_name(0, name);
	if (snprintf(path, sizeof path, "%s/%s", dir, name) >= (int)sizeof path)
		return;
	fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	if (fd < 0)
		return;
	if (facts->has_partition && medium_place(fd, 0, &place) == 0) {
		facts->chunk_known = 1;
		facts->chunk_bytes = facts->partition_bytes + place;
	}
	close(fd);
}

API int
lbs_card_look(const char *data_dir, uint64_t capacity_bytes,
	      uint64_t segment_size_bytes, struct lbs_card_info *info)
{
	struct lbs_card_info own;
	struct card_facts facts;
	struct fit fit;

	if (!data_dir || !info || info->struct_size < GROW_CARD)
		return LBS_EINVAL;
	if (access(data_dir, F_OK))
		return LBS_ECARDMISSING;
	medium_probe(data_dir, "/sys", &facts);
	look_at_chunk(data_dir, &facts);
	fit_choose(&facts, capacity_bytes, segment_size_bytes, &fit);
	own = (struct lbs_card_info){
		.unit_told = fit.unit_told,
		.unit_bytes = fit.unit_bytes,
		.card_bytes = facts.card_bytes,
		.partition_bytes = facts.partition_bytes,
		.past_unit_bytes =
			facts.chunk_known
				? (int64_t)(facts.chunk_bytes % fit.unit_bytes)
				: -1,
		.advice_count = (uint32_t)fit.advice_count,
	};
	snprintf(own.fs, sizeof own.fs, "%s", medium_fs_name(facts.fs));
	_Static_assert(sizeof own.advice == sizeof fit.advice, "one size");
	memcpy(own.advice, fit.advice, sizeof own.advice);
	grow_out(info, &own, sizeof own);
	return 0;
}
