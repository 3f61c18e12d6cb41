/*
 * minimal.c - the smallest program that keeps a disk in an LBS store: make, open,
 * write, flush, read, close.
 *
 *   cc minimal.c $(pkg-config --cflags --libs lbs) -o minimal
 *   ./minimal corp.lbs /media/card/corp
 *
 * The first run makes the store; each run adds one to a number in its first block.
 */
#include <lbs.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* The library never prints. What it has to say comes here, as whole sentences;
 * level is LBS_LOG_ERROR, _WARNING or _INFO. */
static void
tell(void *ctx, int level, int code, const char *sentence)
{
	(void)ctx;
	(void)code;
	if (level <= LBS_LOG_WARNING)
		fprintf(stderr, "minimal: %s\n", sentence);
}

int
main(int argc, char **argv)
{
	/* Structures begin with their size, so that they may grow in later
	 * versions; whatever is left out is 0 and means the default. */
	struct lbs_create_options create = { .struct_size = sizeof create,
					     .size_bytes = 64 << 20,
					     .log = tell };
	struct lbs_open_options open = { .struct_size = sizeof open,
					 .owner = "minimal", .log = tell };
	lbs_store *store = NULL;
	lbs_vdisk *disk = NULL;
	uint64_t number = 0;
	char block[4096];
	int rc;

	if (argc != 3) {
		fprintf(stderr, "usage: minimal STORE DATA-DIRECTORY\n");
		return 2;
	}
	/* Results are 0 or a negative LBS_E... code. */
	rc = access(argv[1], F_OK) ? lbs_store_create(argv[1], argv[2], &create)
				   : 0;
	if (rc)
		goto out;

	/* Opening takes the locks and rolls forward what the last session left,
	 * however it ended. It starts threads: a program that forks into the
	 * background does so before. */
	rc = lbs_store_open(argv[1], &open, &store);
	if (rc)
		goto out;
	rc = lbs_vdisk_open(store, "disk", &disk);
	if (rc)
		goto out;

	/* Any offset and length will do; whole blocks of 4096 bytes are fastest.
	 * What was never written reads as zeroes. */
	rc = lbs_vdisk_read(disk, &number, sizeof number, 0);
	if (rc)
		goto out;
	number++;
	memset(block, 0, sizeof block);
	memcpy(block, &number, sizeof number);

	/* When this returns the block survives the death of this process... */
	rc = lbs_vdisk_write(disk, block, sizeof block, 0, 0);
	if (rc)
		goto out;
	/* ...and when this returns, it survives a power cut. Both at once would
	 * be lbs_vdisk_write with LBS_FUA. */
	rc = lbs_vdisk_flush(disk);
	if (rc)
		goto out;
	printf("%llu\n", (unsigned long long)number);
out:
	lbs_vdisk_close(disk); /* NULL is allowed */
	if (rc)
		/* One sentence for people; lbs_error_word(rc) for programs. */
		fprintf(stderr, "minimal: %s: %s\n", argv[1], lbs_strerror(rc));
	/* Flushes and checkpoints, so its result counts, too. */
	if (lbs_store_close(store))
		rc = -1;
	return rc ? 1 : 0;
}
