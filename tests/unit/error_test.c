/*
 * error_test - the table of codes: each has a word, a sentence and an errno,
 * and a block device never answers "invalid argument" for the world's faults.
 */
#include "tests/unit/unit.h"

#include <errno.h>


#define FIRST LBS_EINVAL
#define LAST LBS_ECANCELLED

static void
every_code_has_a_word_of_its_own_and_a_sentence(void **state)
{
	(void)state;
	for (int e = FIRST; e >= LAST; e--) {
		const char *word = lbs_error_word(e);

		assert_non_null(word);
		assert_true(*word && strspn(word, "abcdefghijklmnopqrstuvwxyz-") ==
					     strlen(word));
		assert_non_null(lbs_strerror(e));
		assert_true(*lbs_strerror(e));
		assert_true(lbs_errno(e) > 0);
		for (int other = FIRST; other > e; other--)
			assert_string_not_equal(word, lbs_error_word(other));
	}
}

static void
the_words_are_those_that_scripts_rely_on(void **state)
{
	(void)state;
	assert_string_equal(lbs_error_word(LBS_EBUSY), "busy");
	assert_string_equal(lbs_error_word(LBS_EWRONGKEY), "wrong-key");
	assert_string_equal(lbs_error_word(LBS_ECARDMISSING), "card-missing");
	assert_string_equal(lbs_error_word(LBS_EOTHERCARD), "other-card");
	assert_string_equal(lbs_error_word(LBS_ESTALECARD), "stale-card");
	assert_string_equal(lbs_error_word(LBS_ESTALEMETA), "stale-metadata");
	assert_string_equal(lbs_error_word(LBS_ENOSPC), "no-space");
	assert_string_equal(lbs_error_word(0), "ok");
}

static void
codes_outside_the_table_are_internal_errors(void **state)
{
	(void)state;
	assert_string_equal(lbs_error_word(LAST - 1), "internal");
	assert_string_equal(lbs_error_word(1), "internal");
	assert_string_equal(lbs_error_word(INT32_MIN), "internal");
	assert_int_equal(lbs_errno(INT32_MAX), EIO);
	assert_int_equal(lbs_errno(INT32_MIN), EIO);
	assert_int_equal(lbs_errno(0), 0);
}

/* What NBD can say; every other errno arrives as EINVAL at the client. */
static int
nbd_knows(int err)
{
	switch (err) {
	case EPERM:
	case EROFS:
	case EIO:
	case ENOMEM:
	case ENOSPC:
		return 1;
	}
	return 0;
}

static void
only_the_callers_fault_is_einval(void **state)
{
	(void)state;
	for (int e = FIRST; e >= LAST; e--) {
		if (e == LBS_EINVAL)
			assert_int_equal(lbs_errno(e), EINVAL);
		else if (!nbd_knows(lbs_errno(e)))
			fail_msg("%s gives errno %d, which NBD makes EINVAL",
				 lbs_error_word(e), lbs_errno(e));
	}
	assert_int_equal(lbs_errno(LBS_ENOSPC), ENOSPC);
	assert_int_equal(lbs_errno(LBS_EDAMAGED), EIO);
	assert_int_equal(lbs_errno(LBS_EROFS), EROFS);
	assert_int_equal(lbs_errno(LBS_EMETAFULL), EIO);
}

static void
the_mediums_errnos_become_codes(void **state)
{
	(void)state;
	assert_int_equal(code_of_errno(0), 0);
	assert_int_equal(code_of_errno(-ENOSPC), LBS_ENOSPC);
	assert_int_equal(code_of_errno(-EDQUOT), LBS_ENOSPC);
	assert_int_equal(code_of_errno(-EFBIG), LBS_ENOSPC);
	assert_int_equal(code_of_errno(-ENOENT), LBS_ECARDMISSING);
	assert_int_equal(code_of_errno(-EROFS), LBS_EROFS);
	assert_int_equal(code_of_errno(-ENOMEM), LBS_ENOMEM);
	assert_int_equal(code_of_errno(-EIO), LBS_EIO);
	assert_int_equal(code_of_errno(-EUCLEAN), LBS_EIO);
}

struct told {
	int level, code;
	char sentence[2000];
};

static void
tell(void *ctx, int level, int code, const char *sentence)
{
	struct told *t = ctx;

	t->level = level;
	t->code = code;
	snprintf(t->sentence, sizeof t->sentence, "%s", sentence);
}

static void
a_failure_is_told_once_and_returned(void **state)
{
	struct told t = { 0 };
	struct logger log = { tell, &t }, silent = { NULL, NULL };
	char name[3000];

	(void)state;
	assert_int_equal((fail)(&log, LBS_EBUSY, "%s holds it", "pid 7"),
			 LBS_EBUSY);
	assert_int_equal(t.level, LBS_LOG_ERROR);
	assert_int_equal(t.code, LBS_EBUSY);
	assert_string_equal(t.sentence, "pid 7 holds it");
	warn(&log, LBS_ENOSPC, "the card is full");
	assert_int_equal(t.level, LBS_LOG_WARNING);
	inform(&log, "all is well");
	assert_int_equal(t.level, LBS_LOG_INFO);
	assert_int_equal(t.code, 0);
	/* A name from outside may be long; the sentence is bounded. */
	memset(name, 'x', sizeof name);
	name[sizeof name - 1] = '\0';
	assert_int_equal((fail)(&log, LBS_EIO, "%s", name), LBS_EIO);
	assert_true(strlen(t.sentence) < 1100);
	assert_int_equal((fail)(&silent, LBS_EIO, "unheard"), LBS_EIO);
	assert_int_equal((fail)(NULL, LBS_EIO, "unheard"), LBS_EIO);
}

static void
every_counter_has_a_name_of_its_own(void **state)
{
	(void)state;
	for (int i = 0; i < LBS_STAT_COUNT; i++) {
		assert_non_null(lbs_stat_name(i));
		for (int j = 0; j < i; j++)
			assert_string_not_equal(lbs_stat_name(i),
						lbs_stat_name(j));
	}
	assert_null(lbs_stat_name(LBS_STAT_COUNT));
	assert_null(lbs_stat_name(-1));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_code_has_a_word_of_its_own_and_a_sentence),
		cmocka_unit_test(the_words_are_those_that_scripts_rely_on),
		cmocka_unit_test(codes_outside_the_table_are_internal_errors),
		cmocka_unit_test(only_the_callers_fault_is_einval),
		cmocka_unit_test(the_mediums_errnos_become_codes),
		cmocka_unit_test(a_failure_is_told_once_and_returned),
		cmocka_unit_test(every_counter_has_a_name_of_its_own),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
