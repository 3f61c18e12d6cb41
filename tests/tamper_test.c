/*
 * tamper_test.c - every field of FORMAT.md's byte tables, enumerated from the
 * document, and every byte of a small store are changed on the card, one at a
 * time. The guest gets each block right or an error, and opening gives one of
 * the verdicts that FORMAT.md section 11 has for damage (promises 6 and 7).
 * Must never count a change that changed nothing.
 *
 *   tamper_test [--all] [--jobs N]
 *
 * Quick: all fields, all bytes of what is not guest data, and a stride of that.
 * The last line is "N changes, N failed".
 */
#include "crypto/secret.h"
#include "tests/tamper/tamper.h"

#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#define DOCUMENT "FORMAT.md"

static void run_job(struct plan *p)
{
	static const struct {
		enum victim_state state;
		int compress;
	} kinds[] = {
		{ VICTIM_CLOSED, LBS_COMPRESS_NONE },
		{ VICTIM_KILLED, LBS_COMPRESS_NONE },
		{ VICTIM_CLOSED, LBS_COMPRESS_ZSTD },
		{ VICTIM_KILLED, LBS_COMPRESS_LZ4 },
	};
	unsigned s;

	for (s = 0; s < sizeof(kinds) / sizeof(kinds[0]); s++) {
		struct victim *v = victim_new_zip(kinds[s].state, 1,
						  kinds[s].compress);
		struct looked l;

		tamper_fields(p, v);
		tamper_resealed(p, v);
		tamper_bytes(p, v);
		if (kinds[s].state == VICTIM_CLOSED)
			tamper_while_open(p, v);
		/* All was put back. */
		l = victim_look(v);
		if (l.rc != 0 || l.errors != 0 || l.wrong != 0)
			tamper_tell(p, "the store", "is not as it was");
		victim_free(v);
	}
}

static void run_jobs(struct plan *p)
{
	int status, i;

	for (i = 0; i < p->jobs; i++) {
		if (fork() != 0)
			continue;
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		p->job = i;
		run_job(p);
		exit(0);
	}
	while (wait(&status) > 0)
		if (!WIFEXITED(status) || WEXITSTATUS(status) != 0)
			tamper_tell(p, "a worker", "died");
}

static void *shared(size_t len)
{
	void *p = mmap(NULL, len, PROT_READ | PROT_WRITE,
		       MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	if (p == MAP_FAILED)
		exit(1);
	return p;
}

int main(int argc, char **argv)
{
	static const struct option options[] = {
		{ "all", no_argument, NULL, 'a' },
		{ "jobs", required_argument, NULL, 'j' },
		{ NULL, 0, NULL, 0 },
	};
	struct plan p = { .jobs = (int)sysconf(_SC_NPROCESSORS_ONLN) };
	int opt, i;

	while ((opt = getopt_long(argc, argv, "", options, NULL)) != -1) {
		if (opt == 'a')
			p.all = 1;
		else if (opt == 'j')
			p.jobs = atoi(optarg);
		else
			return 2;
	}
	if (p.jobs < 1)
		p.jobs = 1;
	if (secret_init() < 0)
		return 1;
	p.doc = doc_read(DOCUMENT);
	p.totals = shared(sizeof(*p.totals));
	p.tried = shared(p.doc->field_count);
	run_jobs(&p);
	tamper_fields_reach(&p);
	for (i = 0; i < TAMPER_VERDICTS; i++)
		if (p.totals->verdicts[i] != 0)
			printf("%8llu %s\n",
			       (unsigned long long)p.totals->verdicts[i],
			       i ? lbs_error_word(-i) : "opened");
	printf("%llu blocks gave an error in stores that opened\n",
	       (unsigned long long)p.totals->errors);
	printf("%llu changes, %llu failed\n",
	       (unsigned long long)p.totals->changes,
	       (unsigned long long)p.totals->failed);
	doc_free(p.doc);
	return p.totals->failed == 0 ? 0 : 1;
}
