/*
 * probe_test - what is read of a card under a directory, from a sysfs made for the
 * test; and places of files, on whatever file system the tests run on.
 */
#include "tests/unit/unit.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "liblbs/medium/probe.h"

#define MIB (1ull << 20)

static char work[64];

static int
make_work(void **state)
{
	(void)state;
	strcpy(work, "/tmp/lbs-probe.XXXXXX");
	return mkdtemp(work) ? 0 : -1;
}

static int
remove_work(void **state)
{
	char command[128];

	(void)state;
	snprintf(command, sizeof command, "rm -rf %s", work);
	return system(command);
}

static void
put(const char *name, const char *text)
{
	char path[512] = "";
	FILE *f;

	snprintf(path, sizeof path, "%s/%s", work, name);
	for (char *p = path + 1; (p = strchr(p, '/')); p++) {
		*p = '\0';
		mkdir(path, 0700);
		*p = '/';
	}
	f = fopen(path, "w");
	assert_non_null(f);
	fputs(text, f);
	fclose(f);
}

/* The device of the directory itself is said to be this. */
static void
link_device(const char *to)
{
	char path[512], target[512];
	struct stat st;

	assert_int_equal(stat(work, &st), 0);
	put("dev/block/x", "");
	snprintf(path, sizeof path, "%s/dev/block/%u:%u", work,
		 major(st.st_dev), minor(st.st_dev));
	snprintf(target, sizeof target, "../../%s", to);
	unlink(path);
	assert_int_equal(symlink(target, path), 0);
}

static void
sd_card(void **state)
{
	struct card_facts facts;

	(void)state;
	put("devices/mmc0/block/mmcblk0/size", "62333952\n");
	put("devices/mmc0/block/mmcblk0/device/preferred_erase_size", "4194304\n");
	put("devices/mmc0/block/mmcblk0/mmcblk0p1/partition", "1\n");
	put("devices/mmc0/block/mmcblk0/mmcblk0p1/start", "8192\n");
	put("devices/mmc0/block/mmcblk0/mmcblk0p1/size", "62325760\n");
	link_device("devices/mmc0/block/mmcblk0/mmcblk0p1");
	medium_probe(work, work, &facts);
	assert_true(facts.has_partition);
	assert_int_equal(facts.card_bytes, 62333952ull * 512);
	assert_int_equal(facts.unit_bytes, 4 * MIB);
	assert_int_equal(facts.partition_bytes, 4 * MIB);
	assert_true(facts.cluster_bytes > 0);
	assert_false(facts.aligned);
	/* A file system on the bare card. */
	link_device("devices/mmc0/block/mmcblk0");
	medium_probe(work, work, &facts);
	assert_int_equal(facts.partition_bytes, 0);
	assert_int_equal(facts.unit_bytes, 4 * MIB);
	/* The card's status: with a unit, and without. */
	put("devices/mmc0/block/mmcblk0/device/ssr",
	    "0000000004000000040090000f050a00\n");
	medium_probe(work, work, &facts);
	assert_int_equal(facts.unit_bytes, 4 * MIB);
	put("devices/mmc0/block/mmcblk0/device/ssr",
	    "00000000040000000400000000000000\n");
	medium_probe(work, work, &facts);
	assert_int_equal(facts.unit_bytes, 0);
}

static void
nonsense(void **state)
{
	static const char *const units[] = { "0\n", "-1\n", "", "abc\n",
					     "3145728\n", "4096\n",
					     "99999999999999999999\n" };
	struct card_facts facts;

	(void)state;
	link_device("devices/sda");
	for (size_t i = 0; i < sizeof units / sizeof *units; i++) {
		put("devices/sda/device/preferred_erase_size", units[i]);
		medium_probe(work, work, &facts);
		assert_true(facts.has_partition);
		assert_int_equal(facts.unit_bytes, 0);
		assert_int_equal(facts.card_bytes, 0);
	}
	link_device("devices/nowhere");
	medium_probe(work, work, &facts);
	assert_false(facts.has_partition);
	medium_probe("/nonexistent", "/nonexistent", &facts);
	assert_false(facts.has_partition);
	assert_int_equal(facts.fs, CARD_FS_OTHER);
}

static void
kinds(void **state)
{
	(void)state;
	assert_int_equal(medium_fs_kind(0x4d44), CARD_FS_VFAT);
	assert_int_equal(medium_fs_kind(0x2011BAB0), CARD_FS_EXFAT);
	assert_int_equal(medium_fs_kind(0x01021994), CARD_FS_MEMORY);
	assert_int_equal(medium_fs_kind(0x6969), CARD_FS_NETWORK);
	/* f_type is signed on some machines. */
	assert_int_equal(medium_fs_kind((uint64_t)(int32_t)0xFF534D42),
			 CARD_FS_NETWORK);
	assert_int_equal(medium_fs_kind(0xef53), CARD_FS_OTHER);
	for (int fs = CARD_FS_OTHER; fs <= CARD_FS_FUSE; fs++)
		assert_true(strlen(medium_fs_name((enum card_fs)fs)) > 0);
}

/* Where a file lies is known or not, but never an error that stops anything; and
 * padding is for FAT alone. */
static void
places(void **state)
{
	struct card_facts facts = { .fs = CARD_FS_OTHER, .has_partition = 1,
				    .cluster_bytes = 4096 };
	uint64_t first, later;
	char path[512] = "";
	int fd, err;

	(void)state;
	put("file", "x");
	snprintf(path, sizeof path, "%s/file", work);
	fd = open(path, O_RDWR);
	assert_int_equal(ftruncate(fd, 0), 0);
	assert_true(medium_place(fd, 0, &first) < 0);
	assert_int_equal(pwrite(fd, path, 512, 0), 512);
	assert_int_equal(fsync(fd), 0);
	err = medium_place(fd, 0, &first);
	if (err == 0) {
		assert_int_equal(medium_place(fd, 100, &later), 0);
		assert_int_equal(later, first + 100);
	}
	close(fd);
	assert_true(medium_place(-1, 0, &first) < 0);
	assert_int_equal(medium_align(work, &facts, 4 * MIB, 8192), 0);
	snprintf(path, sizeof path, "%s/align.tmp", work);
	assert_int_equal(access(path, F_OK), -1);
	medium_align_end(work);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(sd_card, make_work, remove_work),
		cmocka_unit_test_setup_teardown(nonsense, make_work, remove_work),
		cmocka_unit_test(kinds),
		cmocka_unit_test_setup_teardown(places, make_work, remove_work),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
