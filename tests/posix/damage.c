/*
 * damage.c - see damage.h: bits, segments, files, and the metadata through its own code.
 */
#include "tests/posix/damage.h"

#include "liblbs/format/card.h"
#include "liblbs/meta/mapstore.h"
#include "liblbs/meta/meta.h"
#include "tests/posix/stores.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cmocka.h>

static int card_fd(const char *store, const char *file)
{
	char name[PATH_BYTES], in[64];
	int fd;

	snprintf(in, sizeof(in), "card/%s", file);
	posix_path(name, store, in);
	fd = open(name, O_RDWR);
	assert_true(fd >= 0);
	return fd;
}

static void flip(const char *store, const char *file, off_t at)
{
	int fd = card_fd(store, file);
	uint8_t b;

	assert_int_equal(pread(fd, &b, 1, at), 1);
	b ^= 0x40;
	assert_int_equal(pwrite(fd, &b, 1, at), 1);
	close(fd);
}

/* Where the live segment of a store begins: the one whose header is newest. */
static off_t live_segment(const char *store, char file[16])
{
	char name[PATH_BYTES], in[32];
	uint8_t salt[2][16];
	int i, fd, old;
	off_t at = -1;

	/* Of the segments in the first files, the one that differs from the
	 * copy at the end of the 60 blocks. */
	for (i = 0; i < 4 && at < 0; i++) {
		snprintf(file, 16, "%04d.lbs", i / 2);
		fd = card_fd(store, file);
		snprintf(in, sizeof(in), "old-card/%s", file);
		posix_path(name, store, in);
		old = open(name, O_RDONLY);
		if (old >= 0 &&
		    pread(fd, salt[0], 16, i % 2 * (off_t)SEGMENT + 32) == 16 &&
		    pread(old, salt[1], 16, i % 2 * (off_t)SEGMENT + 32) == 16 &&
		    memcmp(salt[0], salt[1], 16) != 0)
			at = i % 2 * (off_t)SEGMENT;
		close(fd);
		close(old);
	}
	return at;
}

static void put_file(const char *store, const char *from, const char *to)
{
	posix_shell("cd %s/%s && rm -rf %s && cp -r %s %s", posix_root, store, to, from, to);
}

static void replace_segment(const char *store, const char *from_dir, off_t from,
			    off_t to)
{
	posix_shell("cd %s/%s && dd if=%s/0000.lbs of=card/0000.lbs bs=1M count=1 "
	      "skip=%d seek=%d conv=notrunc status=none", posix_root, store, from_dir,
	      (int)(from / (off_t)SEGMENT), (int)(to / (off_t)SEGMENT));
}

static void none(const char *store) { (void)store; }

static void flip_frame(const char *store)
{
	char file[16];
	off_t at = live_segment(store, file);

	assert_true(at >= 0);
	/* A discard's record of 88 bytes comes first. */
	flip(store, file, at + FIRST_FRAME + 88 + 2000);
}

static void flip_record(const char *store)
{
	char file[16];
	off_t at = live_segment(store, file);

	flip(store, file, at + FIRST_RECORD + 88 + 4208 + 30);
}

static void flip_header(const char *store)
{
	char file[16];
	off_t at = live_segment(store, file);

	flip(store, file, at + 70);
}

static void old_segment(const char *store)
{
	char file[16];
	off_t at = live_segment(store, file);

	replace_segment(store, "old-card", at, at);
}

static void moved_segment(const char *store)
{
	char file[16];
	off_t at = live_segment(store, file);

	replace_segment(store, "card", at ? 0 : (off_t)SEGMENT, at);
}

static void foreign_segment(const char *store)
{
	char file[16];
	off_t at = live_segment(store, file);

	replace_segment(store, "../foreign/card", at, at);
}

static void zero_segment(const char *store)
{
	char file[16];
	off_t at = live_segment(store, file);

	posix_shell("dd if=/dev/zero of=%s/%s/card/%s bs=1M count=1 seek=%d "
	      "conv=notrunc status=none", posix_root, store, file,
	      (int)(at / (off_t)SEGMENT));
}

static void old_card(const char *store) { put_file(store, "old-card", "card"); }
static void old_meta(const char *store)
{
	posix_shell("rm -f %s/%s/corp.lbs-wal", posix_root, store);
	put_file(store, "old.lbs", "corp.lbs");
}
static void foreign_card(const char *store)
{
	put_file(store, "../foreign/card", "card");
}
static void foreign_card_file(const char *store)
{
	put_file(store, "../foreign/card/card.lbs", "card/card.lbs");
}
static void no_card(const char *store) { posix_shell("rm -r %s/%s/card", posix_root, store); }
static void no_card_file(const char *store)
{
	posix_shell("rm %s/%s/card/card.lbs", posix_root, store);
}
static void garbage_card_file(const char *store)
{
	posix_shell("dd if=/dev/zero of=%s/%s/card/card.lbs bs=4096 count=2 "
	      "status=none", posix_root, store);
}
void damage_no_chunk(const char *store)
{
	posix_shell("rm %s/%s/card/0001.lbs", posix_root, store);
}
static void short_chunk(const char *store)
{
	posix_shell("truncate -s 1000000 %s/%s/card/0000.lbs", posix_root, store);
}
static void huge_chunk(const char *store)
{
	posix_shell("truncate -s 8G %s/%s/card/0000.lbs", posix_root, store);
}

/* What is no regular file, in the place of a file of the card. */
static void make_link(const char *store, const char *file)
{
	posix_shell("cd %s/%s && mv card/%s aside && ln -s ../aside card/%s",
		    posix_root, store, file, file);
}
static void make_fifo(const char *store, const char *file)
{
	posix_shell("cd %s/%s/card && rm %s && mkfifo %s", posix_root, store, file,
		    file);
}
static void make_dir(const char *store, const char *file)
{
	posix_shell("cd %s/%s/card && rm %s && mkdir %s", posix_root, store, file,
		    file);
}
static void link_chunk(const char *store) { make_link(store, "0000.lbs"); }
static void link_card_file(const char *store) { make_link(store, "card.lbs"); }
static void fifo_chunk(const char *store) { make_fifo(store, "0000.lbs"); }
static void fifo_card_file(const char *store) { make_fifo(store, "card.lbs"); }
static void dir_chunk(const char *store) { make_dir(store, "0000.lbs"); }
static void dir_card_file(const char *store) { make_dir(store, "card.lbs"); }
static void loop_chunk(const char *store)
{
	posix_shell("cd %s/%s/card && rm 0000.lbs && ln -s 0000.lbs 0000.lbs", posix_root,
	      store);
}
static void passwd_chunk(const char *store)
{
	posix_shell("cd %s/%s/card && ln -sf /etc/passwd 0000.lbs", posix_root, store);
}
static void socket_chunk(const char *store)
{
	struct sockaddr_un at = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);

	posix_shell("rm %s/%s/card/0000.lbs", posix_root, store);
	assert_int_equal(chdir(posix_root), 0);
	strcpy(at.sun_path, "it/card/0000.lbs");
	assert_int_equal(bind(fd, (struct sockaddr *)&at, sizeof(at)), 0);
	assert_int_equal(chdir(posix_home), 0);
	close(fd);
}
static void file_for_card(const char *store)
{
	posix_shell("cd %s/%s && rm -r card && touch card", posix_root, store);
}

/* The metadata file, through its own code: what flash that forgets would do. */
static struct meta *meta_of(const char *store)
{
	static const struct logger quiet;
	char name[PATH_BYTES];
	struct meta *m;

	posix_path(name, store, "corp.lbs");
	assert_int_equal(meta_open(name, NULL, 0, &quiet, &m), 0);
	return m;
}

void damage_wrong_live(const char *store)
{
	struct meta *m = meta_of(store);
	uint32_t live[META_LIVE_GROUP];

	assert_int_equal(meta_live_get(m, 0, live), 0);
	for (uint32_t i = 0; i < META_LIVE_GROUP; i++)
		live[i] -= live[i] > 0;
	assert_int_equal(meta_live_put(m, 0, live), 0);
	meta_close(m);
}

static void add_entry(const char *store, uint64_t lba, uint64_t position)
{
	struct meta *m = meta_of(store);
	struct runs_writer w;

	runs_begin(&w, 17);
	runs_put(&w, lba, 1, position);
	assert_int_equal(runs_end(&w), 0);
	assert_int_equal(mapstore_delta_add(m, 1, 0, 900, w.buf, w.len), 0);
	free(w.buf);
	meta_close(m);
}

static void wrong_position(const char *store)
{
	add_entry(store, 500, position_make(9, FIRST_FRAME));
}
static void beyond_end(const char *store)
{
	char file[16];
	off_t at = live_segment(store, file);

	add_entry(store, 5000, position_make((uint32_t)(at / (off_t)SEGMENT),
					     FIRST_FRAME + 88));
}

static void torn_meta(const char *store)
{
	char name[PATH_BYTES];
	uint8_t junk[2048];
	int fd;

	posix_path(name, store, "corp.lbs");
	fd = open(name, O_RDWR);
	posix_fill(junk, sizeof(junk), 5);
	assert_int_equal(pwrite(fd, junk, sizeof(junk), 4096 + 2000),
			 sizeof(junk));
	close(fd);
}

static void no_database(const char *store)
{
	posix_shell("rm -f %s/%s/corp.lbs-wal; head -c 20000 /dev/urandom > "
	      "%s/%s/corp.lbs", posix_root, store, posix_root, store);
}

const struct kind kinds[] = {
	{ "nothing", "closed", none, 0, 0, CLEAN, NULL },
	{ "nothing", "killed", none, 0, 0, CLEAN, "roll-forward" },
	{ "bit in a block", "closed", flip_frame, 0, 1, ERRORS_LEFT,
	  "block-damaged" },
	{ "bit in a record", "closed", flip_record, 0, 0, CLEAN, NULL },
	{ "bit in a record", "killed", flip_record, LBS_EDAMAGED, 0,
	  ERRORS_LEFT, "damaged" },
	{ "bit in a header", "closed", flip_header, 0, 0, ERRORS_LEFT,
	  "segment-header" },
	/* The records behind it are authentic, and promised. */
	{ "bit in a header", "killed", flip_header, LBS_EDAMAGED, 0,
	  ERRORS_LEFT, "damaged" },
	{ "older segment", "closed", old_segment, LBS_ESTALECARD, 0,
	  ERRORS_LEFT, "stale-card" },
	{ "older segment", "killed", old_segment, LBS_ESTALECARD, 0,
	  ERRORS_LEFT, "stale-card" },
	{ "moved segment", "closed", moved_segment, LBS_EDATAMISSING, 0,
	  ERRORS_LEFT, "data-missing" },
	{ "foreign segment", "killed", foreign_segment, LBS_EDATAMISSING, 0,
	  ERRORS_LEFT, "data-missing" },
	{ "zeroed segment", "killed", zero_segment, LBS_EDATAMISSING, 0,
	  ERRORS_LEFT, "data-missing" },
	{ "older card", "closed", old_card, LBS_ESTALECARD, 0, ERRORS_LEFT,
	  "stale-card" },
	{ "older card", "killed", old_card, LBS_ESTALECARD, 0, ERRORS_LEFT,
	  "stale-card" },
	{ "older metadata", "closed", old_meta, LBS_ESTALEMETA, 0, ERRORS_LEFT,
	  "stale-metadata" },
	{ "older metadata", "killed", old_meta, LBS_ESTALEMETA, 0, ERRORS_LEFT,
	  "stale-metadata" },
	{ "foreign card", "closed", foreign_card, LBS_EOTHERCARD, 0,
	  OPERATIONAL, "other-card" },
	{ "foreign card file", "closed", foreign_card_file, LBS_EOTHERCARD, 0,
	  OPERATIONAL, "other-card" },
	{ "no card", "closed", no_card, LBS_ECARDMISSING, 0, OPERATIONAL,
	  "card-missing" },
	{ "no card file", "closed", no_card_file, LBS_ECARDMISSING, 0,
	  ERRORS_LEFT, "card-file" },
	{ "zeroed card file", "closed", garbage_card_file, 0, 0, ERRORS_LEFT,
	  "card-file" },
	{ "missing chunk", "closed", damage_no_chunk, LBS_ECARDMISSING, 0,
	  ERRORS_LEFT, "card-missing" },
	{ "short chunk", "closed", short_chunk, LBS_EDATAMISSING, 0,
	  ERRORS_LEFT, "data-missing" },
	{ "chunk with 8 GiB of hole", "closed", huge_chunk, 0, 0, CLEAN, NULL },
	{ "chunk a link", "closed", link_chunk, LBS_EIO, 0, OPERATIONAL, "io" },
	{ "chunk a link to itself", "closed", loop_chunk, LBS_EIO, 0,
	  OPERATIONAL, "io" },
	{ "chunk a link to elsewhere", "closed", passwd_chunk, LBS_EIO, 0,
	  OPERATIONAL, "io" },
	{ "chunk a pipe", "closed", fifo_chunk, LBS_EIO, 0, OPERATIONAL, "io" },
	{ "chunk a directory", "closed", dir_chunk, LBS_EIO, 0, OPERATIONAL,
	  "io" },
	{ "chunk a socket", "closed", socket_chunk, LBS_EIO, 0, OPERATIONAL,
	  "io" },
	{ "card file a pipe", "closed", fifo_card_file, LBS_EIO, 0,
	  OPERATIONAL, "io" },
	{ "card file a link", "closed", link_card_file, LBS_EIO, 0,
	  OPERATIONAL, "io" },
	{ "card file a directory", "closed", dir_card_file, LBS_EIO, 0,
	  OPERATIONAL, "io" },
	{ "card directory a file", "closed", file_for_card, LBS_ECARDMISSING, 0,
	  OPERATIONAL, "card-missing" },
	{ "wrong live counts", "closed", damage_wrong_live, 0, 0, ERRORS_LEFT,
	  "live-count" },
	{ "map entry to nowhere", "closed", wrong_position, 0, 1, ERRORS_LEFT,
	  "segment-unknown" },
	{ "map entry beyond the end", "closed", beyond_end, 0, 0, ERRORS_LEFT,
	  "map-beyond-end" },
	{ "torn metadata", "closed", torn_meta, LBS_ECORRUPT, 0, ERRORS_LEFT,
	  "corrupt-metadata" },
	{ "no database", "closed", no_database, LBS_ENOTSTORE, 0, OPERATIONAL,
	  "not-a-store" },
};
const size_t kind_count = sizeof(kinds) / sizeof(kinds[0]);
