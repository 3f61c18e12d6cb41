/* size.c - see size.h. */
#include "tools/common/size.h"

#include <ctype.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

static const char letters[] = "KMGTPE";

int
size_parse(const char *text, uint64_t *bytes, const char **why)
{
	const char *p = text, *letter;
	unsigned shift = 0;
	uint64_t value = 0;

	if (*p == '-') {
		*why = "is negative";
		return -1;
	}
	if (!isdigit((unsigned char)*p)) {
		*why = "is not a size (write it as 512M or 32G)";
		return -1;
	}
	for (; isdigit((unsigned char)*p); p++) {
		unsigned digit = (unsigned)(*p - '0');

		if (value > (UINT64_MAX - digit) / 10) {
			*why = "is too large to count";
			return -1;
		}
		value = value * 10 + digit;
	}
	if (*p == '.' || *p == ',') {
		*why = "has a fraction (write a whole number, as 1536M)";
		return -1;
	}
	letter = *p ? strchr(letters, toupper((unsigned char)*p)) : NULL;
	if (letter) {
		shift = 10 * (unsigned)(letter - letters + 1);
		p++;
		if (strcasecmp(p, "b") == 0) {
			*why = "mixes units (write M or MiB, a power of two)";
			return -1;
		}
		if (strcasecmp(p, "ib") == 0)
			p += 2;
	}
	if (*p) {
		*why = "is not a size (write it as 512M or 32G)";
		return -1;
	}
	if (value > UINT64_MAX >> shift) {
		*why = "is too large to count";
		return -1;
	}
	*bytes = value << shift;
	return 0;
}

const char *
size_format(uint64_t bytes, char text[SIZE_TEXT_BYTES])
{
	unsigned unit = 0;
	uint64_t whole = bytes, rest = 0;

	while (whole >= 1024 && unit < sizeof(letters) - 1) {
		rest = bytes & (((uint64_t)1 << (10 * (unit + 1))) - 1);
		whole >>= 10;
		unit++;
	}
	if (unit == 0)
		snprintf(text, SIZE_TEXT_BYTES, "%" PRIu64 " B", bytes);
	else if (rest == 0)
		snprintf(text, SIZE_TEXT_BYTES, "%" PRIu64 " %ciB", whole,
			 letters[unit - 1]);
	else
		snprintf(text, SIZE_TEXT_BYTES, "%.*f %ciB", whole < 10 ? 2 : 1,
			 (double)bytes / (double)((uint64_t)1 << (10 * unit)),
			 letters[unit - 1]);
	return text;
}
