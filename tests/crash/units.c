/*
 * units.c - all that crash_test tries, counted out in units: the making of a store, the
 * parts of shrinking and of the long workloads, all short sequences.
 */
#include "tests/crash/crash.h"
#include "tests/lab/nonce_audit.h"
#include "tests/lab/simimage.h"

#include <stdio.h>
#include <string.h>

/* Parts of a long workload, so that the jobs share it. */
#define LONG_PARTS 40

static uint64_t power(uint64_t base, int exponent)
{
	return exponent == 0 ? 1 : base * power(base, exponent - 1);
}

/* Sequences of up to so many letters, of one store. */
static uint64_t sequences(int letters)
{
	uint64_t n = 0;
	int i;

	for (i = 0; i <= letters; i++)
		n += power(SCRIPT_LETTERS, i);
	return n;
}

/* The sequence of a number: shorter ones first. */
static void spell(uint64_t number, char letters[SCRIPT_STEPS_MAX + 1])
{
	int n = 0, i;

	while (number >= power(SCRIPT_LETTERS, n))
		number -= power(SCRIPT_LETTERS, n++);
	for (i = 0; i < n; i++) {
		letters[i] = script_letters[number % SCRIPT_LETTERS];
		number /= SCRIPT_LETTERS;
	}
	letters[n] = '\0';
}

static int is_wanted(const char *name)
{
	return only_workload == NULL ||
	       strncmp(name, only_workload, strlen(only_workload)) == 0;
}

static void run_script(int store, uint64_t number)
{
	char letters[SCRIPT_STEPS_MAX + 1], name[NAME_BYTES];
	struct sweep s;
	uint64_t pick;
	int n, twice;

	spell(number, letters);
	n = (int)strlen(letters);
	pick = sim_mix(number, (uint64_t)store);
	/* With compression the code is the same but for frames: fewer. */
	if (store == SCRIPT_ZIP ? n >= effort->all_letters &&
					  pick % (4 * effort->some_every) != 0
				: n > effort->all_letters &&
					  pick % effort->some_every != 0)
		return;
	twice = n <= effort->twice_letters ||
		pick / effort->some_every % effort->twice_every == 0;
	snprintf(name, sizeof(name), "%s-%s", script_store_names[store], letters);
	if (!is_wanted(name))
		return;
	sweep_of(&s, name, twice ? 2 : 1);
	cut_script(&s, store, letters);
	atomic_fetch_add(&shared->workloads, 1);
}

static void run_long(uint64_t seed, uint64_t part)
{
	char name[NAME_BYTES];
	struct sweep s;

	snprintf(name, sizeof(name), "long-%llu", (unsigned long long)seed);
	if (!is_wanted(name))
		return;
	sweep_of(&s, name, 1);
	s.parts = LONG_PARTS * effort->long_every;
	s.part = part * effort->long_every + seed % effort->long_every;
	cut_long(&s, seed);
}

static void run_shrink(uint64_t part)
{
	struct sweep s;

	if (!is_wanted("shrink"))
		return;
	sweep_of(&s, "shrink", 1);
	s.parts = LONG_PARTS * effort->shrink_every;
	s.part = part * effort->shrink_every;
	cut_shrink(&s);
}

static void run_create(void)
{
	struct sweep s;

	if (!is_wanted("create"))
		return;
	sweep_of(&s, "create", 1);
	cut_create(&s);
	atomic_fetch_add(&shared->workloads, 1);
}

/* Parts of the long workloads of all seeds: a quarter of those with compression. */
static uint64_t long_units(void)
{
	return (LONG_LZ4 - 1) * LONG_PARTS +
	       (effort->long_seeds + 1 - LONG_LZ4) * LONG_PARTS / 4;
}

static void run_long_unit(uint64_t unit)
{
	uint64_t plain = (LONG_LZ4 - 1) * LONG_PARTS;

	if (unit < plain)
		run_long(1 + unit / LONG_PARTS, unit % LONG_PARTS);
	else
		run_long(LONG_LZ4 + (unit - plain) / (LONG_PARTS / 4),
			 (unit - plain) % (LONG_PARTS / 4));
}

/* Units: the making, the parts of the long workloads, the sequences. */
uint64_t unit_count(void)
{
	return 1 + LONG_PARTS + long_units() +
	       SCRIPT_STORES * sequences(effort->some_letters);
}

void run_unit(uint64_t unit)
{
	uint64_t longs = LONG_PARTS + long_units();

	/* One store's history, with all the ways it might have gone on. */
	nonce_audit_reset();
	if (unit == 0)
		run_create();
	else if (unit <= LONG_PARTS)
		run_shrink(unit - 1);
	else if (unit <= longs)
		run_long_unit(unit - 1 - LONG_PARTS);
	else
		run_script((int)((unit - longs - 1) % SCRIPT_STORES),
			   (unit - longs - 1) / SCRIPT_STORES);
}
