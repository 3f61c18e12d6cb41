/*
 * tamper_posix_test.c - damage with a name, on a real file system: for each kind
 * what opening says, what the guest reads, which finding lbsck tells, and its
 * exit status of fsck(8). Also what is no regular file where one should be.
 *
 * LBS_BUILD_ROOT says where ./lbsck is (the current directory by default).
 */
#include "tests/posix/damage.h"
#include "tests/posix/stores.h"

#include <jansson.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>

#include <cmocka.h>

static char ck[PATH_BYTES];

static int ck_make(void **state)
{
	const char *build = getenv("LBS_BUILD_ROOT");

	snprintf(ck, sizeof(ck), "%s/lbsck", build ? build : ".");
	return posix_make(state);
}

static int has_code(const json_t *report, const char *code)
{
	const json_t *list = json_object_get(report, "findings");
	const char *own = json_string_value(json_object_get(
		json_object_get(report, "error"), "code"));
	const json_t *f;
	size_t i;

	if (own != NULL && strcmp(own, code) == 0)
		return 1;
	json_array_foreach(list, i, f) {
		const char *c = json_string_value(json_object_get(f, "code"));

		if (c != NULL && strcmp(c, code) == 0)
			return 1;
	}
	return 0;
}

/* Runs lbsck; its exit status, and what it reported. */
static int run_ck(const char *options, const char *store, json_t **report)
{
	char line[4 * PATH_BYTES], *text = calloc(1, 1 << 20);
	FILE *p;
	int status;

	snprintf(line, sizeof(line), "timeout 60 %s --json %s --data %s/%s/card "
		 "%s/%s/corp.lbs 2>/dev/null </dev/null", ck, options, posix_root,
		 store, posix_root, store);
	p = popen(line, "r");
	assert_non_null(p);
	text[fread(text, 1, (1 << 20) - 1, p)] = '\0';
	status = pclose(p);
	*report = json_loads(text, 0, NULL);
	free(text);
	assert_true(WIFEXITED(status));
	return WEXITSTATUS(status);
}

/* Opens, reads every block, closes. Counts errors; 1 for wrong data. */
static int look(const char *store, unsigned flags, unsigned *lost)
{
	uint8_t buf[BLOCK_BYTES];
	lbs_store *s;
	lbs_vdisk *d;
	uint64_t at;
	int rc = posix_open(store, flags, &s), wrong = 0;

	*lost = 0;
	if (rc != 0)
		return rc;
	assert_int_equal(lbs_vdisk_open(s, NULL, &d), 0);
	for (at = 0; at < DISK; at += BLOCK_BYTES) {
		rc = lbs_vdisk_read(d, buf, sizeof(buf), at);
		if (rc == LBS_EDAMAGED)
			++*lost;
		else if (rc != 0 || memcmp(buf, posix_truth + at, sizeof(buf)) != 0)
			wrong = 1;
	}
	lbs_vdisk_close(d);
	rc = lbs_store_close(s);
	return rc ? rc : wrong;
}

static int bad_kinds;

static void complain(const struct kind *k, const char *what, int got, int want)
{
	print_error("%s (%s): %s gave %d, not %d\n", k->name, k->store, what, got,
		    want);
	bad_kinds++;
}

static void try_kind(const struct kind *k)
{
	struct timespec begun, ended;
	json_t *report;
	unsigned lost;
	int got;

	posix_shell("rm -rf %s/it && cp -a %s/%s %s/it", posix_root, posix_root, k->store, posix_root);
	k->damage("it");
	clock_gettime(CLOCK_MONOTONIC, &begun);
	got = look("it", LBS_RDONLY, &lost);
	if (got != k->opens)
		complain(k, "opening to read", got, k->opens);
	if (lost != k->lost)
		complain(k, "reading", (int)lost, (int)k->lost);
	got = run_ck("--scrub", "it", &report);
	if (got != k->exit)
		complain(k, "lbsck --scrub", got, k->exit);
	if (k->code != NULL && !has_code(report, k->code)) {
		char *text = json_dumps(report, JSON_INDENT(1));

		print_error("%s: lbsck did not tell %s: %s\n", k->name, k->code,
			    text ? text : "nothing");
		free(text);
		bad_kinds++;
	}
	json_decref(report);
	/* lbsck changed nothing: opening for writing gives the same. */
	got = look("it", 0, &lost);
	if (got != k->opens)
		complain(k, "opening to write", got, k->opens);
	clock_gettime(CLOCK_MONOTONIC, &ended);
	if (ended.tv_sec - begun.tv_sec > 60)
		complain(k, "all of it", (int)(ended.tv_sec - begun.tv_sec), 60);
}

static void test_kinds(void **state)
{
	size_t i;

	(void)state;
	bad_kinds = 0;
	for (i = 0; i < kind_count; i++)
		try_kind(&kinds[i]);
	assert_int_equal(bad_kinds, 0);
}

/* ---- mending ------------------------------------------------------------------------------- */

static void test_preen(void **state)
{
	json_t *report;
	int i;

	(void)state;
	posix_shell("rm -rf %s/it && cp -a %s/closed %s/it", posix_root, posix_root, posix_root);
	damage_wrong_live("it");
	assert_int_equal(run_ck("", "it", &report), ERRORS_LEFT);
	json_decref(report);
	assert_int_equal(run_ck("-p", "it", &report), CORRECTED);
	assert_true(has_code(report, "live-count"));
	json_decref(report);
	/* Mended: the second run has nothing to do. */
	for (i = 0; i < 2; i++) {
		assert_int_equal(run_ck("-p", "it", &report), CLEAN);
		json_decref(report);
	}
}

/* Kinds that consent makes a store of again. */
static void test_accept_loss(void **state)
{
	json_t *report;
	unsigned lost;
	size_t i;
	int got;

	(void)state;
	bad_kinds = 0;
	for (i = 0; i < kind_count; i++) {
		const struct kind *k = &kinds[i];

		if (k->opens != LBS_ESTALECARD && k->opens != LBS_EDATAMISSING &&
		    k->opens != LBS_ESTALEMETA && k->opens != LBS_EDAMAGED &&
		    k->damage != damage_no_chunk)
			continue;
		posix_shell("rm -rf %s/it && cp -a %s/%s %s/it", posix_root, posix_root, k->store,
		      posix_root);
		k->damage("it");
		/* A dry run changes nothing. */
		got = run_ck("-n --accept-loss", "it", &report);
		if (got != ERRORS_LEFT || !has_code(report, "dry-run"))
			complain(k, "the dry run", got, ERRORS_LEFT);
		json_decref(report);
		got = look("it", LBS_RDONLY, &lost);
		if (got != k->opens)
			complain(k, "opening after the dry run", got, k->opens);
		got = run_ck("-y --accept-loss", "it", &report);
		if ((got != CORRECTED && got != ERRORS_LEFT) ||
		    !has_code(report, "loss-accepted"))
			complain(k, "accepting the loss", got, CORRECTED);
		json_decref(report);
		/* What was lost stays an error or is gone; the rest is right,
		 * or for an older card as old as was said. It opens. */
		got = look("it", LBS_RDONLY, &lost);
		if (got != 0 && got != 1)
			complain(k, "opening after consent", got, 0);
		got = run_ck("", "it", &report);
		if (got != CLEAN && got != ERRORS_LEFT)
			complain(k, "lbsck after consent", got, CLEAN);
		json_decref(report);
	}
	assert_int_equal(bad_kinds, 0);
}

static void test_exit_codes(void **state)
{
	json_t *report;
	lbs_store *s;
	int status;

	(void)state;
	/* In use by another: operational. */
	posix_shell("rm -rf %s/it && cp -a %s/closed %s/it", posix_root, posix_root, posix_root);
	assert_int_equal(posix_open("it", 0, &s), 0);
	assert_int_equal(run_ck("", "it", &report), OPERATIONAL);
	assert_true(has_code(report, "busy"));
	json_decref(report);
	assert_int_equal(lbs_store_close(s), 0);
	assert_int_equal(run_ck("", "nowhere", &report), OPERATIONAL);
	assert_true(has_code(report, "not-found"));
	json_decref(report);
	status = run_ck("-n -p", "it", &report);
	assert_int_equal(status, 16);
	json_decref(report);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_kinds),
		cmocka_unit_test(test_preen),
		cmocka_unit_test(test_accept_loss),
		cmocka_unit_test(test_exit_codes),
	};

	return cmocka_run_group_tests(tests, ck_make, posix_unmake);
}
