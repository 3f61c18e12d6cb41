/*
 * medium_test - the doorway to the card on a real file system: it opens regular
 * files below its directory and nothing else, reads what is there, writes all
 * or says so, and keeps a second opener out.
 */
#include "tests/unit/unit.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "liblbs/medium/medium.h"

static char dir[64], path[96];
static struct medium *card;

static const char *
in_dir(const char *name)
{
	snprintf(path, sizeof path, "%s/%s", dir, name);
	return path;
}

static int
setup(void **state)
{
	(void)state;
	strcpy(dir, "/tmp/lbs-card-XXXXXX");
	return mkdtemp(dir) ? medium_posix_open(dir, 1, &card) : -1;
}

static int
teardown(void **state)
{
	char command[96];

	(void)state;
	card->ops->close(card);
	snprintf(command, sizeof command, "rm -r %s", dir);
	return system(command);
}

static void
files_have_the_names_of_the_format(void **state)
{
	char name[MEDIUM_NAME_BYTES];

	(void)state;
	medium_file_name(0, name);
	assert_string_equal(name, "0000.lbs");
	medium_file_name(65534, name);
	assert_string_equal(name, "65534.lbs");
	medium_file_name(UINT32_MAX - 1, name);
	assert_true(strlen(name) < MEDIUM_NAME_BYTES);
	medium_file_name(MEDIUM_CARD_FILE, name);
	assert_string_equal(name, "card.lbs");
	assert_int_equal(access(in_dir(".nomedia"), F_OK), 0);
}

/* One that is made, and then cannot be opened. */
static void
a_directory_that_failed_is_not_left(void **state)
{
	struct medium *none = NULL;
	mode_t mask;
	pid_t child;
	int status;

	(void)state;
	assert_int_equal(chmod(dir, 0777), 0);
	child = fork();
	if (child == 0) {
		/* Whom modes bind. */
		if (geteuid() == 0 && seteuid(65534))
			_exit(2);
		mask = umask(0777);
		if (medium_posix_open(in_dir("new"), 1, &none) != -EACCES)
			_exit(3);
		umask(mask);
		_exit(access(in_dir("new"), F_OK) == 0);
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_int_equal(status, 0);
}

static void
what_was_written_is_read(void **state)
{
	char a[] = "one", b[] = "two", back[16] = "";
	struct iovec iov[2] = { { a, 3 }, { b, 3 } };
	uint64_t size;
	ssize_t now;

	(void)state;
	assert_int_equal(card->ops->open(card, 3, 0), -ENOENT);
	assert_int_equal(card->ops->open(card, 3, MEDIUM_OPEN_CREATE), 0);
	assert_int_equal(card->ops->open(card, 3, MEDIUM_OPEN_CREATE), 0);
	assert_int_equal(card->ops->pwritev(card, 3, iov, 2, 4090), 0);
	assert_int_equal(card->ops->sync(card, 3), 0);
	assert_int_equal(card->ops->sync_dir(card), 0);
	assert_int_equal(card->ops->size(card, 3, &size), 0);
	assert_int_equal(size, 4096);
	assert_int_equal(card->ops->pread(card, 3, back, 6, 4090), 6);
	assert_string_equal(back, "onetwo");
	/* At once, if it is there: it may have been dropped from memory. */
	memset(back, 0, sizeof back);
	now = card->ops->pread_now(card, 3, back, 6, 4090);
	assert_true(now == 6 || now == -EAGAIN);
	if (now == 6)
		assert_string_equal(back, "onetwo");
	now = card->ops->pread_now(card, 4, back, 6, 0);
	assert_true(now == 0 || now == -EAGAIN); /* it is not open */
	/* Short at the end of the file, and nothing behind it. */
	assert_int_equal(card->ops->pread(card, 3, back, 16, 4093), 3);
	assert_int_equal(card->ops->pread(card, 3, back, 16, 4096), 0);
	assert_int_equal(card->ops->pread(card, 3, back, 16, 1ull << 40), 0);
	assert_int_equal(iov[0].iov_len, 3); /* the vectors are not changed */
}

/* A chunk file may be just below 4 GiB; where off_t is short, this is at 32 bits. */
static void
the_far_end_of_a_chunk_is_there(void **state)
{
	const uint64_t far = (4ull << 30) - (1 << 20) - 3;
	char data[] = "far", back[8] = "";
	struct iovec iov = { data, 3 };
	uint64_t size;

	(void)state;
	assert_int_equal(card->ops->open(card, 3, MEDIUM_OPEN_CREATE), 0);
	assert_int_equal(card->ops->pwritev(card, 3, &iov, 1, far), 0);
	assert_int_equal(card->ops->size(card, 3, &size), 0);
	assert_int_equal(size, far + 3);
	assert_int_equal(card->ops->pread(card, 3, back, 8, far), 3);
	assert_string_equal(back, "far");
	assert_int_equal(card->ops->pread(card, 3, back, 1, (uint32_t)far / 2), 1);
	assert_int_equal(back[0], 0);
}

static void
a_file_that_is_not_open_is_empty_or_an_error(void **state)
{
	struct iovec iov = { path, 1 };
	uint64_t size;

	(void)state;
	/* What is not there is an end of file: the caller finds it short. */
	assert_int_equal(card->ops->pread(card, 7, path, 1, 0), 0);
	assert_true(card->ops->pwritev(card, 7, &iov, 1, 0) < 0);
	assert_true(card->ops->sync(card, 7) < 0);
	assert_true(card->ops->size(card, 7, &size) < 0);
	assert_int_equal(card->ops->open(card, 65536, MEDIUM_OPEN_CREATE),
			 -EINVAL);
	assert_int_equal(card->ops->pread(card, 65536, path, 1, 0), 0);
}

static void
what_is_no_regular_file_is_refused(void **state)
{
	FILE *f;

	(void)state;
	/* A link, also one that leads to a good file, or nowhere. */
	f = fopen(in_dir("good"), "w");
	fclose(f);
	assert_int_equal(symlink("good", in_dir("0000.lbs")), 0);
	assert_int_equal(card->ops->open(card, 0, 0), -EINVAL);
	assert_int_equal(card->ops->open(card, 0, MEDIUM_OPEN_CREATE), -EINVAL);
	assert_int_equal(symlink("nowhere", in_dir("0001.lbs")), 0);
	assert_int_equal(card->ops->open(card, 1, MEDIUM_OPEN_CREATE), -EINVAL);
	assert_int_not_equal(access(in_dir("nowhere"), F_OK), 0);
	/* A FIFO, which must not block; a directory; a socket; a device. */
	assert_int_equal(mkfifo(in_dir("0002.lbs"), 0600), 0);
	assert_int_equal(card->ops->open(card, 2, 0), -EINVAL);
	assert_int_equal(card->ops->open(card, 2, MEDIUM_OPEN_RDONLY), -EINVAL);
	assert_int_equal(mkdir(in_dir("0003.lbs"), 0700), 0);
	assert_int_equal(card->ops->open(card, 3, 0), -EINVAL);
	assert_int_equal(card->ops->open(card, 3, MEDIUM_OPEN_RDONLY), -EINVAL);
	if (mknod(in_dir("0004.lbs"), S_IFCHR | 0600, 1 << 8 | 5) == 0)
		assert_int_equal(card->ops->open(card, 4, 0), -EINVAL);
	assert_int_equal(symlink("card.lbs", in_dir("card.lbs")), 0);
	assert_int_equal(card->ops->open(card, MEDIUM_CARD_FILE, 0), -EINVAL);
}

static void
a_read_only_file_opens_only_to_read(void **state)
{
	struct iovec iov = { path, 1 };

	(void)state;
	assert_int_equal(card->ops->open(card, 0, MEDIUM_OPEN_CREATE), 0);
	card->ops->close(card);
	assert_int_equal(medium_posix_open(dir, 0, &card), 0);
	assert_int_equal(card->ops->open(card, 0, MEDIUM_OPEN_RDONLY), 0);
	assert_true(card->ops->pwritev(card, 0, &iov, 1, 0) < 0);
}

static void
there_is_one_lock(void **state)
{
	struct medium *second;

	(void)state;
	assert_int_equal(card->ops->open(card, MEDIUM_CARD_FILE,
					 MEDIUM_OPEN_CREATE), 0);
	assert_int_equal(card->ops->lock(card), 0);
	assert_int_equal(medium_posix_open(dir, 0, &second), 0);
	assert_int_equal(second->ops->open(second, MEDIUM_CARD_FILE, 0), 0);
	assert_int_equal(second->ops->lock(second), -EBUSY);
	card->ops->close(card);
	assert_int_equal(second->ops->lock(second), 0);
	card = second;
}

static void
the_directory_must_be_one(void **state)
{
	struct medium *m = NULL;
	FILE *f = fopen(in_dir("file"), "w");

	(void)state;
	fclose(f);
	assert_int_equal(medium_posix_open(in_dir("none"), 0, &m), -ENOENT);
	assert_true(medium_posix_open(in_dir("file"), 0, &m) < 0);
	assert_true(medium_posix_open(in_dir("file"), 1, &m) < 0);
	assert_true(medium_posix_open(in_dir("none/deeper"), 1, &m) < 0);
	assert_null(m);
	assert_int_equal(medium_posix_open(in_dir("new"), 1, &m), 0);
	m->ops->close(m);
}

static void
a_removed_file_is_gone(void **state)
{
	(void)state;
	assert_int_equal(card->ops->open(card, 0, MEDIUM_OPEN_CREATE), 0);
	assert_int_equal(card->ops->remove(card, 0), 0);
	assert_int_not_equal(access(in_dir("0000.lbs"), F_OK), 0);
	assert_int_equal(card->ops->remove(card, 0), -ENOENT);
}

static void
a_full_device_says_so(void **state)
{
	char back[8] = "";

	(void)state;
	/* The kernel's own full device, in the place of a chunk, is refused as
	 * no regular file; a size limit gives the same answer as a full card. */
	assert_int_equal(card->ops->open(card, 0, MEDIUM_OPEN_CREATE), 0);
	struct iovec iov = { "x", 1 };

	assert_int_equal(card->ops->pwritev(card, 0, &iov, 1, INT64_MAX - 1),
			 -EFBIG);
	assert_int_equal(card->ops->pread(card, 0, back, 1, 0), 0);
}

int
main(int argc, char **argv)
{
#define STORY(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		STORY(files_have_the_names_of_the_format),
		STORY(a_directory_that_failed_is_not_left),
		STORY(what_was_written_is_read),
		STORY(the_far_end_of_a_chunk_is_there),
		STORY(a_file_that_is_not_open_is_empty_or_an_error),
		STORY(what_is_no_regular_file_is_refused),
		STORY(a_read_only_file_opens_only_to_read),
		STORY(there_is_one_lock),
		STORY(the_directory_must_be_one),
		STORY(a_removed_file_is_gone),
		STORY(a_full_device_says_so),
	};

	unit_seed(argc, argv);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
