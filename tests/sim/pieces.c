/*
 * pieces.c - see pieces.h.
 */
#include "tests/sim/pieces.h"
#include "tests/lab/simimage.h"

int pieces_of(void *buf, size_t len, uint64_t offset, struct iovec iov[PIECES_MAX])
{
	uint64_t rng = sim_mix(offset, len), width;
	uint8_t *p = buf;
	size_t n;
	int count = 0;

	if (sim_random(&rng) % 2 == 0) {
		iov[0] = (struct iovec){ buf, len };
		return 1;
	}
	/* Pages of a guest, parts of them, or what lies together in its memory. */
	while (len > 0 && count + 1 < PIECES_MAX) {
		width = 1u << sim_random(&rng) % 18;
		n = sim_random(&rng) % 2 ? 4096 : sim_random(&rng) % width;
		n = n < len ? n : len;
		iov[count++] = (struct iovec){ p, n };
		p += n;
		len -= n;
	}
	iov[count++] = (struct iovec){ p, len };
	return count;
}
