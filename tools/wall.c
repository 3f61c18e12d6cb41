/* wall.c - see wall.h. */
#include "tools/wall.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/landlock.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

/* All rights over files that the first Landlock knew: later ones concern what
 * needs one of these first. */
#define FILE_RIGHTS ((LANDLOCK_ACCESS_FS_MAKE_SYM << 1) - 1)
#define READ_TREE                                                  \
	(LANDLOCK_ACCESS_FS_EXECUTE | LANDLOCK_ACCESS_FS_READ_FILE | \
	 LANDLOCK_ACCESS_FS_READ_DIR)
/* Binding and connecting TCP sockets, since the fourth. */
#define TCP_RIGHTS 3
#define TCP_SINCE  4

/* struct landlock_ruleset_attr of a newer header than we build with. */
struct rights {
	uint64_t files;
	uint64_t net;
};

static int
allow(int rules, const char *path, uint64_t rights)
{
	struct landlock_path_beneath_attr beneath = { .allowed_access =
							      rights };
	int rc;

	beneath.parent_fd = open(path, O_PATH | O_CLOEXEC);
	if (beneath.parent_fd < 0)
		return errno == ENOENT ? 0 : -1;
	rc = (int)syscall(SYS_landlock_add_rule, rules,
			  LANDLOCK_RULE_PATH_BENEATH, &beneath, 0);
	close(beneath.parent_fd);
	return rc;
}

int
wall_around(const char *image)
{
	/* Where programs and libraries lie. */
	static const char *const trees[] = { "/usr", "/lib", "/lib64", "/bin",
					     "/opt", "/nix/store",
					     "/gnu/store" };
	static const char *const files[] = { "/etc/ld.so.cache",
					     "/dev/urandom" };
	struct rights rights = { .files = FILE_RIGHTS };
	long version = syscall(SYS_landlock_create_ruleset, NULL, 0,
			       LANDLOCK_CREATE_RULESET_VERSION);
	size_t size = sizeof(rights.files);
	int rules, rc = 0;

	if (version < 1)
		return 0;
	if (version >= TCP_SINCE) {
		rights.net = TCP_RIGHTS;
		size = sizeof(rights);
	}
	rules = (int)syscall(SYS_landlock_create_ruleset, &rights, size, 0);
	if (rules < 0)
		return -1;
	for (size_t i = 0; i < sizeof(trees) / sizeof(*trees) && rc == 0; i++)
		rc = allow(rules, trees[i], READ_TREE);
	for (size_t i = 0; i < sizeof(files) / sizeof(*files) && rc == 0; i++)
		rc = allow(rules, files[i], LANDLOCK_ACCESS_FS_READ_FILE);
	/* On which QEMU tries whether locks work. */
	if (rc == 0)
		rc = allow(rules, "/dev/null",
			   LANDLOCK_ACCESS_FS_READ_FILE |
				   LANDLOCK_ACCESS_FS_WRITE_FILE);
	if (rc == 0)
		rc = allow(rules, image, LANDLOCK_ACCESS_FS_READ_FILE);
	if (rc == 0)
		rc = prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
	if (rc == 0)
		rc = (int)syscall(SYS_landlock_restrict_self, rules, 0);
	close(rules);
	return rc;
}
