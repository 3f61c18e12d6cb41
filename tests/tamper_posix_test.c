/*
 * tamper_posix_test.c - damage with a name, on a real file system: for each kind
 * what opening says, what the guest reads, which finding lbsck tells, and its
 * exit status of fsck(8). Also what is no regular file where one should be.
 * Must never touch anything outside its own temporary directory.
 *
 * LBS_BUILD_ROOT says where ./lbsck is (the current directory by default).
 */
#include "lbs.h"
#include "liblbs/format/card.h"
#include "liblbs/format/layout.h"
#include "liblbs/meta/mapstore.h"
#include "liblbs/meta/meta.h"

#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#define MIB (1ull << 20)
#define SEGMENT MIB
#define CHUNK (2 * MIB)
#define DISK (2 * MIB)
#define PATH_BYTES 300
#define ROOT_BYTES 60

static char root[ROOT_BYTES], ck[PATH_BYTES];
static char home[PATH_BYTES];	/* where the test was started */
static uint8_t truth[DISK];
/* Where the test's writes went: the first frame and record of a session. */
#define FIRST_RECORD SEGMENT_HEADER_BYTES
#define FIRST_FRAME (FIRST_RECORD + 88)

static void path(char out[PATH_BYTES], const char *store, const char *name)
{
	if (snprintf(out, PATH_BYTES, "%s/%s/%s", root, store, name) >=
	    PATH_BYTES)
		fail();
}

static void shell(const char *format, ...)
{
	char line[4 * PATH_BYTES];
	va_list args;

	va_start(args, format);
	vsnprintf(line, sizeof(line), format, args);
	va_end(args);
	if (system(line) != 0) {
		print_error("%s\n", line);
		fail();
	}
}

/* ---- stores --------------------------------------------------------------------- */

static int open_store(const char *store, unsigned flags, lbs_store **s)
{
	char meta[PATH_BYTES], card[PATH_BYTES];
	struct lbs_open_options o = { .struct_size = sizeof(o), .flags = flags,
				      .data_dir = card, .owner = "a test" };

	path(meta, store, "corp.lbs");
	path(card, store, "card");
	return lbs_store_open(meta, &o, s);
}

static void create(const char *store)
{
	struct lbs_create_options o = { .struct_size = sizeof(o),
					.size_bytes = DISK,
					.capacity_bytes = 16 * MIB,
					.segment_size_bytes = SEGMENT,
					.chunk_size_bytes = CHUNK };
	char meta[PATH_BYTES], card[PATH_BYTES];

	shell("mkdir %s/%s", root, store);
	path(meta, store, "corp.lbs");
	path(card, store, "card");
	assert_int_equal(lbs_store_create(meta, card, &o), 0);
}

static void fill(uint8_t *p, size_t len, unsigned seed)
{
	size_t i;

	for (i = 0; i < len; i++) {
		seed = seed * 1103515245 + 12345;
		p[i] = (uint8_t)(seed >> 16);
	}
}

static void write_at(lbs_vdisk *d, uint64_t block, unsigned count, unsigned seed)
{
	uint8_t *p = truth + block * BLOCK_BYTES;
	unsigned i;

	fill(p, (size_t)count * BLOCK_BYTES, seed);
	for (i = 0; i < count; i++)
		assert_int_equal(lbs_vdisk_write(d, p + (size_t)i * BLOCK_BYTES,
			BLOCK_BYTES, (block + i) * BLOCK_BYTES, 0), 0);
}

/* One life: first everything is discarded, then blocks are written to the first
 * segment; the end as told. */
enum end { CLOSE, DIE };

static void live(const char *store, unsigned seed, enum end end)
{
	lbs_store *s;
	lbs_vdisk *d;
	int status;
	pid_t pid = end == DIE ? fork() : 0;

	/* The child writes what the parent only remembers. */
	if (end == CLOSE || pid == 0) {
		assert_int_equal(open_store(store, 0, &s), 0);
		assert_int_equal(lbs_vdisk_open(s, NULL, &d), 0);
		assert_int_equal(lbs_vdisk_discard(d, DISK, 0, 0), 0);
		memset(truth, 0, sizeof(truth));
		write_at(d, 0, 60, seed);
		assert_int_equal(lbs_vdisk_flush(d), 0);
		if (end == DIE)
			_exit(0);
		lbs_vdisk_close(d);
		assert_int_equal(lbs_store_close(s), 0);
		return;
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	memset(truth, 0, sizeof(truth));
	fill(truth, 60 * BLOCK_BYTES, seed);
	/* Another boot: what the run page remembers does not count. */
	shell("rm -f %s/%s/corp.lbs.run", root, store);
}

/* The pristine stores: "closed", "killed", and "foreign" of another key; beside
 * each an older copy of card and metadata. */
static int make(void **state)
{
	const char *build = getenv("LBS_BUILD_ROOT");
	const char *tmp = getenv("TMPDIR");

	(void)state;
	snprintf(ck, sizeof(ck), "%s/lbsck", build ? build : ".");
	if (snprintf(root, sizeof(root), "%s/lbs-tamper.XXXXXX",
		     tmp ? tmp : "/tmp") >= (int)sizeof(root) ||
	    mkdtemp(root) == NULL || getcwd(home, sizeof(home)) == NULL)
		return -1;
	create("foreign");
	live("foreign", 99, CLOSE);
	create("closed");
	live("closed", 1, CLOSE);
	shell("cd %s/closed && cp -r card old-card && cp corp.lbs old.lbs", root);
	shell("cp -r %s/closed %s/killed", root, root);
	/* Emptied and written anew: the first segment is used again. */
	live("killed", 2, CLOSE);
	live("killed", 3, DIE);
	live("closed", 2, CLOSE);
	live("closed", 3, CLOSE);
	return 0;
}

static int unmake(void **state)
{
	(void)state;
	shell("rm -rf %s", root);
	return 0;
}

/* ---- damage ----------------------------------------------------------------------- */

static int card_fd(const char *store, const char *file)
{
	char name[PATH_BYTES], in[64];
	int fd;

	snprintf(in, sizeof(in), "card/%s", file);
	path(name, store, in);
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
		path(name, store, in);
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
	shell("cd %s/%s && rm -rf %s && cp -r %s %s", root, store, to, from, to);
}

static void replace_segment(const char *store, const char *from_dir, off_t from,
			    off_t to)
{
	shell("cd %s/%s && dd if=%s/0000.lbs of=card/0000.lbs bs=1M count=1 "
	      "skip=%d seek=%d conv=notrunc status=none", root, store, from_dir,
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

	shell("dd if=/dev/zero of=%s/%s/card/%s bs=1M count=1 seek=%d "
	      "conv=notrunc status=none", root, store, file,
	      (int)(at / (off_t)SEGMENT));
}

static void old_card(const char *store) { put_file(store, "old-card", "card"); }
static void old_meta(const char *store)
{
	shell("rm -f %s/%s/corp.lbs-wal", root, store);
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
static void no_card(const char *store) { shell("rm -r %s/%s/card", root, store); }
static void no_card_file(const char *store)
{
	shell("rm %s/%s/card/card.lbs", root, store);
}
static void garbage_card_file(const char *store)
{
	shell("dd if=/dev/zero of=%s/%s/card/card.lbs bs=4096 count=2 "
	      "status=none", root, store);
}
static void no_chunk(const char *store)
{
	shell("rm %s/%s/card/0001.lbs", root, store);
}
static void short_chunk(const char *store)
{
	shell("truncate -s 1000000 %s/%s/card/0000.lbs", root, store);
}
static void huge_chunk(const char *store)
{
	shell("truncate -s 8G %s/%s/card/0000.lbs", root, store);
}

/* What is no regular file. */
static void link_chunk(const char *store)
{
	shell("cd %s/%s && mv card/0000.lbs aside && ln -s ../aside "
	      "card/0000.lbs", root, store);
}
static void loop_chunk(const char *store)
{
	shell("cd %s/%s/card && rm 0000.lbs && ln -s 0000.lbs 0000.lbs", root,
	      store);
}
static void passwd_chunk(const char *store)
{
	shell("cd %s/%s/card && ln -sf /etc/passwd 0000.lbs", root, store);
}
static void fifo_chunk(const char *store)
{
	shell("cd %s/%s/card && rm 0000.lbs && mkfifo 0000.lbs", root, store);
}
static void dir_chunk(const char *store)
{
	shell("cd %s/%s/card && rm 0000.lbs && mkdir 0000.lbs", root, store);
}
static void socket_chunk(const char *store)
{
	struct sockaddr_un at = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);

	shell("rm %s/%s/card/0000.lbs", root, store);
	assert_int_equal(chdir(root), 0);
	strcpy(at.sun_path, "it/card/0000.lbs");
	assert_int_equal(bind(fd, (struct sockaddr *)&at, sizeof(at)), 0);
	assert_int_equal(chdir(home), 0);
	close(fd);
}
static void fifo_card_file(const char *store)
{
	shell("cd %s/%s/card && rm card.lbs && mkfifo card.lbs", root, store);
}
static void link_card_file(const char *store)
{
	shell("cd %s/%s && mv card/card.lbs aside && ln -s ../aside "
	      "card/card.lbs", root, store);
}
static void dir_card_file(const char *store)
{
	shell("cd %s/%s/card && rm card.lbs && mkdir card.lbs", root, store);
}
static void file_for_card(const char *store)
{
	shell("cd %s/%s && rm -r card && touch card", root, store);
}

/* The metadata file, through its own code: what flash that forgets would do. */
static struct meta *meta_of(const char *store)
{
	static const struct logger quiet;
	char name[PATH_BYTES];
	struct meta *m;

	path(name, store, "corp.lbs");
	assert_int_equal(meta_open(name, NULL, 0, &quiet, &m), 0);
	return m;
}

static void wrong_live(const char *store)
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

	path(name, store, "corp.lbs");
	fd = open(name, O_RDWR);
	fill(junk, sizeof(junk), 5);
	assert_int_equal(pwrite(fd, junk, sizeof(junk), 4096 + 2000),
			 sizeof(junk));
	close(fd);
}

static void no_database(const char *store)
{
	shell("rm -f %s/%s/corp.lbs-wal; head -c 20000 /dev/urandom > "
	      "%s/%s/corp.lbs", root, store, root, store);
}

/* ---- kinds --------------------------------------------------------------------------- */

enum { CLEAN = 0, CORRECTED = 1, ERRORS_LEFT = 4, OPERATIONAL = 8 };

static const struct kind {
	const char *name, *store;
	void (*damage)(const char *store);
	int opens;		/* what opening gives */
	unsigned lost;		/* blocks that give an error then */
	int exit;		/* of lbsck --scrub */
	const char *code;	/* a finding, or what stopped lbsck; or NULL */
} kinds[] = {
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
	{ "missing chunk", "closed", no_chunk, LBS_ECARDMISSING, 0,
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
	{ "wrong live counts", "closed", wrong_live, 0, 0, ERRORS_LEFT,
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
#define KINDS (sizeof(kinds) / sizeof(kinds[0]))

/* ---- looking --------------------------------------------------------------------------- */

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

	snprintf(line, sizeof(line), "timeout 20 %s --json %s --data %s/%s/card "
		 "%s/%s/corp.lbs 2>/dev/null </dev/null", ck, options, root,
		 store, root, store);
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
	int rc = open_store(store, flags, &s), wrong = 0;

	*lost = 0;
	if (rc != 0)
		return rc;
	assert_int_equal(lbs_vdisk_open(s, NULL, &d), 0);
	for (at = 0; at < DISK; at += BLOCK_BYTES) {
		rc = lbs_vdisk_read(d, buf, sizeof(buf), at);
		if (rc == LBS_EDAMAGED)
			++*lost;
		else if (rc != 0 || memcmp(buf, truth + at, sizeof(buf)) != 0)
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

	shell("rm -rf %s/it && cp -a %s/%s %s/it", root, root, k->store, root);
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
	if (ended.tv_sec - begun.tv_sec > 20)
		complain(k, "all of it", (int)(ended.tv_sec - begun.tv_sec), 20);
}

static void test_kinds(void **state)
{
	size_t i;

	(void)state;
	bad_kinds = 0;
	for (i = 0; i < KINDS; i++)
		try_kind(&kinds[i]);
	assert_int_equal(bad_kinds, 0);
}

/* ---- mending ------------------------------------------------------------------------------- */

static void test_preen(void **state)
{
	json_t *report;
	int i;

	(void)state;
	shell("rm -rf %s/it && cp -a %s/closed %s/it", root, root, root);
	wrong_live("it");
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
	for (i = 0; i < KINDS; i++) {
		const struct kind *k = &kinds[i];

		if (k->opens != LBS_ESTALECARD && k->opens != LBS_EDATAMISSING &&
		    k->opens != LBS_ESTALEMETA && k->opens != LBS_EDAMAGED &&
		    k->damage != no_chunk)
			continue;
		shell("rm -rf %s/it && cp -a %s/%s %s/it", root, root, k->store,
		      root);
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
	shell("rm -rf %s/it && cp -a %s/closed %s/it", root, root, root);
	assert_int_equal(open_store("it", 0, &s), 0);
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

	return cmocka_run_group_tests(tests, make, unmake);
}
