/*-------------------------------------------------------------------------
 *
 * uaef-signer.c
 *	  Keys of a ledger, and a process that signs its checkpoints.
 *
 * The process has the key, and its own memory of what it has signed: a server
 * that asks for the opposite gets no signature, whoever runs it.  It should
 * belong to another user than the server.
 *
 *-------------------------------------------------------------------------
 */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <openssl/crypto.h>

#include "signer_server.h"

static const char help[] =
"uaef-signer makes keys for a uaef ledger and signs its checkpoints.\n"
"\n"
"  uaef-signer keygen NAME FILE   write a new private key to FILE (mode 0600),\n"
"                                 print its public key; NAME should be the\n"
"                                 origin of the ledger\n"
"  uaef-signer vkey FILE          print the public key of a private one\n"
"  uaef-signer serve OPTIONS      sign for whoever may open a socket\n"
"      --socket PATH              the Unix socket, for uaef.ledger_signer_socket\n"
"      --key FILE                 the private key\n"
"      --state FILE               what was signed last; must not be lost\n"
"      --init                     begin a state that does not exist yet\n"
"      --origin ORIGIN            sign for this ledger only\n"
"      --socket-mode MODE         rights of the socket, octal (default 0600)\n"
"  uaef-signer --help, --version\n"
"\n"
"Exit status: 0 done, 1 it failed, 2 wrong arguments.\n";

static int	keygen(const char *name, const char *path);
static int	print_vkey(const char *path);
static int	run_service(int argc, char **argv);
static int	read_key(const char *path, Key *key);
static int	write_key(const char *path, const Key *key);
static int	usage(const char *what);
static int	failed(const char *what, const char *path);

int
main(int argc, char **argv)
{
	struct rlimit none = {0, 0};
	const char *verb = argc > 1 ? argv[1] : "";

	/* No core file shall have the key. */
	setrlimit(RLIMIT_CORE, &none);

	if (strcmp(verb, "--help") == 0 || strcmp(verb, "help") == 0)
		return fputs(help, stdout) < 0;
	if (strcmp(verb, "--version") == 0 || strcmp(verb, "version") == 0)
		return puts("uaef-signer " UAEF_VERSION) < 0;
	if (strcmp(verb, "keygen") == 0)
		return argc == 4 ? keygen(argv[2], argv[3])
			: usage("keygen takes a name and a file");
	if (strcmp(verb, "vkey") == 0)
		return argc == 3 ? print_vkey(argv[2]) : usage("vkey takes a file");
	if (strcmp(verb, "serve") == 0)
		return run_service(argc - 1, argv + 1);
	return usage(argc > 1 ? "unknown command" : "no command");
}

static int
usage(const char *what)
{
	fprintf(stderr, "uaef-signer: %s\nTry \"uaef-signer --help\".\n", what);
	return 2;
}

static int
failed(const char *what, const char *path)
{
	fprintf(stderr, "uaef-signer: could not %s \"%s\": %s\n", what, path,
			strerror(errno));
	return 1;
}

static int
keygen(const char *name, const char *path)
{
	Key			key;
	char		text[KEY_TEXT_SIZE];
	const char *problem = key_generate(name, &key);

	if (problem != NULL)
	{
		fprintf(stderr, "uaef-signer: %s\n", problem);
		return 1;
	}
	if (write_key(path, &key) != 0)
		return 1;
	key_public_text(&key, text);
	OPENSSL_cleanse(&key, sizeof(key));
	return puts(text) < 0;
}

/*
 * A key is never written over: what it has signed could not be continued.
 */
static int
write_key(const char *path, const Key *key)
{
	char		text[KEY_TEXT_SIZE + 1];
	int			fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	size_t		len;
	int			bad;

	if (fd < 0)
		return failed(errno == EEXIST ? "make a key: there is already a file"
					  : "create", path);
	key_private_text(key, text);
	strcat(text, "\n");
	len = strlen(text);
	bad = write(fd, text, len) != (ssize_t) len || fsync(fd) != 0;
	OPENSSL_cleanse(text, sizeof(text));
	if (bad)
	{
		failed("write", path);
		unlink(path);
	}
	close(fd);
	return bad;
}

static int
print_vkey(const char *path)
{
	Key			key;
	char		text[KEY_TEXT_SIZE];
	int			fd = read_key(path, &key);

	if (fd < 0)
		return 1;
	close(fd);
	key_public_text(&key, text);
	OPENSSL_cleanse(&key, sizeof(key));
	return puts(text) < 0;
}

/*
 * Read a key that nobody but its owner can read; returns its descriptor, or -1
 * when it has said what is wrong.
 */
static int
read_key(const char *path, Key *key)
{
	char		text[KEY_TEXT_SIZE + 2];
	struct stat status;
	const char *problem;
	ssize_t		len;
	int			fd = open(path, O_RDONLY | O_CLOEXEC);

	if (fd < 0 || fstat(fd, &status) != 0)
	{
		failed("open key", path);
		return -1;
	}
	len = S_ISREG(status.st_mode) ? read(fd, text, sizeof(text) - 1) : 0;
	if (len < 0)
	{
		failed("read key", path);
		return -1;
	}
	text[len] = '\0';
	if (len > 0 && text[len - 1] == '\n')
		text[len - 1] = '\0';
	if (!S_ISREG(status.st_mode))
		problem = "it is not a file";
	else if ((status.st_mode & 077) != 0)
		problem = "others than its owner may use it: chmod 0600";
	else if (status.st_uid != geteuid() && geteuid() != 0)
		problem = "it belongs to another user";
	else
		problem = key_parse(text, key);
	OPENSSL_cleanse(text, sizeof(text));
	if (problem == NULL)
		return fd;
	fprintf(stderr, "uaef-signer: \"%s\" is no usable key: %s\n", path,
			problem);
	close(fd);
	return -1;
}

/*
 * Open what the options name, and serve.  The lock on the key keeps a second
 * process from signing with it; it ends with this one.
 */
static int
start_service(Service *service, const char *key_path, const char *state_path,
			  int init)
{
	Key			key;
	State		state;
	int			fd = read_key(key_path, &key);
	int			found;
	int			status;

	if (fd < 0)
		return 1;
	if (flock(fd, LOCK_EX | LOCK_NB) != 0)
		return failed("lock key, which another process signs with,", key_path);
	found = state_load(&state, state_path, &key);
	if (found < 0)
	{
		fprintf(stderr, "uaef-signer: %s\n", state.error);
		return 1;
	}
	if (found > 0 && !init)
	{
		fprintf(stderr, "uaef-signer: there is no state \"%s\"\n"
				"Without it nothing keeps this key from contradicting itself.  Use --init if the\n"
				"key has signed nothing yet; else restore the state, or make it of the last note\n"
				"that the key has signed.\n", state_path);
		return 1;
	}
	service->key = &key;
	service->state = &state;
	status = serve(service);
	OPENSSL_cleanse(&key, sizeof(key));
	return status;
}

static int
run_service(int argc, char **argv)
{
	static const struct option options[] = {
		{"socket", required_argument, NULL, 's'},
		{"key", required_argument, NULL, 'k'},
		{"state", required_argument, NULL, 't'},
		{"origin", required_argument, NULL, 'o'},
		{"socket-mode", required_argument, NULL, 'm'},
		{"init", no_argument, NULL, 'i'},
		{NULL, 0, NULL, 0}
	};
	Service		service = {.socket_mode = 0600};
	const char *key_path = NULL;
	const char *state_path = NULL;
	char	   *end;
	int			init = 0;
	int			option;

	while ((option = getopt_long(argc, argv, "", options, NULL)) != -1)
	{
		switch (option)
		{
			case 's':
				service.socket_path = optarg;
				break;
			case 'k':
				key_path = optarg;
				break;
			case 't':
				state_path = optarg;
				break;
			case 'o':
				service.origin = optarg;
				break;
			case 'm':
				service.socket_mode = (mode_t) strtoul(optarg, &end, 8);
				if (*end != '\0' || end == optarg ||
					(service.socket_mode & ~0777) != 0)
					return usage("--socket-mode takes an octal number such as 0660");
				break;
			case 'i':
				init = 1;
				break;
			default:
				return usage("wrong option of serve");
		}
	}
	if (optind < argc)
		return usage("serve takes options only");
	if (service.socket_path == NULL || key_path == NULL || state_path == NULL)
		return usage("serve needs --socket, --key and --state");
	return start_service(&service, key_path, state_path, init);
}
