/*-------------------------------------------------------------------------
 *
 * uaef-verify.c
 *	  The offline verifier: is an exported ledger what it was?
 *
 * It needs neither a server nor the extension, only the export and what an
 * auditor has kept elsewhere.  docs/verify.md is its manual and
 * docs/ledger-format.md what it goes by.
 *
 *-------------------------------------------------------------------------
 */
#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "verify_ledger.h"
#include "verify_progress.h"
#include "verify_proof.h"
#include "verify_selftest.h"
#include "verify_sha256.h"

#ifndef UAEF_VERSION
#define UAEF_VERSION "unknown"
#endif

enum
{
	OPTION_JSON = 256,
	OPTION_FROM,
	OPTION_PROOF,
	OPTION_RECEIPT,
	OPTION_SELF_TEST,
	OPTION_PORTABLE
};

static void
print_help(void)
{
	puts("uaef-verify checks an exported ledger, without its server.\n"
		 "\n"
		 "Usage: uaef-verify [OPTION]... EXPORT\n"
		 "       uaef-verify --proof FILE | --receipt FILE [OPTION]...\n"
		 "\n"
		 "EXPORT is a file of JSON lines (- for standard input) or a tiles folder.\n"
		 "\n"
		 "  -c, --checkpoint FILE  a signed checkpoint that was kept elsewhere (may repeat)\n"
		 "  -p, --policy FILE      whose keys to trust: logs, witnesses, quorum\n"
		 "      --proof FILE       check a proof of one event (c2sp.org/tlog-proof@v1)\n"
		 "      --receipt FILE     check the receipt of an execution\n"
		 "      --from SIZE        trust the checkpoint of this size; check what is later\n"
		 "      --json             findings as JSON objects, a line each\n"
		 "  -j, --jobs N           use N threads (default: as many as processors)\n"
		 "  -q, --quiet            no progress and no summary, only findings\n"
		 "  -V, --version          print the version and exit\n"
		 "  -h, --help             print this and exit\n"
		 "\n"
		 "Exit status: 0 nothing is wrong; 1 problems were found; 2 something could not be\n"
		 "read; 3 nothing is wrong, but fewer witnesses have cosigned than the policy asks.");
}

static int64_t
number_argument(const char *name, const char *text, int64_t least, int64_t most)
{
	int64_t		number;

	if (!decimal_decode(text, strlen(text), &number) ||
		number < least || number > most)
		fatal("--%s must be a number from %lld to %lld", name,
			  (long long) least, (long long) most);
	return number;
}

static void
add_path(const char ***paths, int *count, const char *path)
{
	*paths = more_memory(*paths, (size_t) (*count + 1) * sizeof(char *));
	(*paths)[(*count)++] = path;
}

static void
read_option(Options *options, int option)
{
	switch (option)
	{
		case 'c':
			add_path(&options->checkpoints, &options->checkpoint_count, optarg);
			break;
		case 'p':
			options->policy_path = optarg;
			break;
		case OPTION_PROOF:
			add_path(&options->proofs, &options->proof_count, optarg);
			break;
		case OPTION_RECEIPT:
			add_path(&options->receipts, &options->receipt_count, optarg);
			break;
		case OPTION_FROM:
			options->from = number_argument("from", optarg, 1, INT64_MAX);
			break;
		case OPTION_JSON:
			report_json = true;
			break;
		case 'j':
			options->jobs = (int) number_argument("jobs", optarg, 1, 64);
			break;
		case 'q':
			options->quiet = true;
			break;
		case OPTION_PORTABLE:
			sha256_choose(true);
			break;
		case OPTION_SELF_TEST:
			exit(self_test() ? EXIT_SOUND : EXIT_PROBLEMS);
		case 'V':
			printf("uaef-verify %s\n", UAEF_VERSION);
			exit(EXIT_SOUND);
		case 'h':
			print_help();
			exit(EXIT_SOUND);
		default:
			fprintf(stderr, "Try \"uaef-verify --help\".\n");
			exit(EXIT_UNREADABLE);
	}
}

static void
read_options(Options *options, int argc, char **argv)
{
	static const struct option names[] = {
		{"checkpoint", required_argument, NULL, 'c'},
		{"policy", required_argument, NULL, 'p'},
		{"proof", required_argument, NULL, OPTION_PROOF},
		{"receipt", required_argument, NULL, OPTION_RECEIPT},
		{"from", required_argument, NULL, OPTION_FROM},
		{"json", no_argument, NULL, OPTION_JSON},
		{"jobs", required_argument, NULL, 'j'},
		{"quiet", no_argument, NULL, 'q'},
		{"version", no_argument, NULL, 'V'},
		{"help", no_argument, NULL, 'h'},
		{"portable", no_argument, NULL, OPTION_PORTABLE},
		{"self-test", no_argument, NULL, OPTION_SELF_TEST},
		{NULL, 0, NULL, 0}
	};
	long		processors = sysconf(_SC_NPROCESSORS_ONLN);
	int			option;

	options->jobs = (int) Max(1, Min(processors, 64));
	while ((option = getopt_long(argc, argv, "c:p:j:qVh", names, NULL)) != -1)
		read_option(options, option);
	if (optind < argc)
		options->export = argv[optind++];
	if (optind < argc)
		fatal("too many arguments: \"%s\"", argv[optind]);
	if (options->export == NULL && options->proof_count == 0 &&
		options->receipt_count == 0)
		fatal("an export is missing; try \"uaef-verify --help\"");
}

static void
read_notes(Ledger *ledger)
{
	const Options *options = ledger->options;

	for (int i = 0; i < options->checkpoint_count; i++)
	{
		Buffer		file = {0};

		if (!read_note_file(options->checkpoints[i], &file))
			fatal("could not read checkpoint \"%s\": %s",
				  options->checkpoints[i], strerror(errno));
		ledger_add_note(ledger, options->checkpoints[i], true, file.data,
						file.len);
		buffer_free(&file);
	}
}

static void
read_export(Ledger *ledger)
{
	const char *path = ledger->options->export;
	struct stat status;
	uint8_t		root[HASH_LEN];

	if (ledger->options->from > 0)
		anchors_trusted(ledger, root);
	progress_start(ledger->options->quiet);
	if (strcmp(path, "-") != 0 && stat(path, &status) != 0)
		fatal("could not open \"%s\": %s", path, strerror(errno));
	if (strcmp(path, "-") != 0 && S_ISDIR(status.st_mode))
		tiles_read(ledger);
	else
		lines_read(ledger);
	ledger_end(ledger);
	progress_clear();
}

static void
print_summary(const Ledger *ledger, const char *result, const char *verdict)
{
	const Report *report = &ledger->found.report;
	Buffer		line = {0};

	if (ledger->options->quiet)
		return;
	if (report_json)
	{
		buffer_print(&line, "{\"result\":\"%s\",\"events\":%lld,\"leaves\":%lld,"
					 "\"blocks\":%lld,\"streams\":%lld,\"unsealed\":%lld,\"errors\":%lld,"
					 "\"warnings\":%lld,\"infos\":%lld,\"verdict\":",
					 result, (long long) ledger->events,
					 (long long) ledger->leaves, (long long) ledger->blocks,
					 (long long) (ledger->chains ? chains_count(ledger->chains) : 0),
					 (long long) ledger->unsealed, (long long) report->errors, (long long) report->warnings,
					 (long long) report->infos);
		add_json_string(&line, verdict);
		buffer_print(&line, "}\n");
	}
	else
	{
		if (ledger->options->export != NULL)
			buffer_print(&line, "%lld events in %lld streams, %lld leaves, %lld blocks, %zu checkpoints",
						 (long long) ledger->events,
						 (long long) chains_count(ledger->chains),
						 (long long) ledger->leaves,
						 (long long) ledger->blocks, ledger->notes.count);
		if (ledger->unsealed > 0)
			buffer_print(&line, "; %lld event%s in no block",
						 (long long) ledger->unsealed,
						 ledger->unsealed == 1 ? "" : "s");
		if (ledger->options->export != NULL)
			buffer_char(&line, '\n');
		if (ledger->found.without_payload > 0)
			buffer_print(&line, "payloads were not exported and not looked at: %lld events\n",
						 (long long) ledger->found.without_payload);
		if (ledger->unknown_rows > 0)
			buffer_print(&line, "rows of unknown kinds were not looked at: %lld\n",
						 (long long) ledger->unknown_rows);
		if (report->warnings > 0 || report->infos > 0)
			buffer_print(&line, "%lld warning%s, %lld info%s\n",
						 (long long) report->warnings,
						 report->warnings == 1 ? "" : "s",
						 (long long) report->infos,
						 report->infos == 1 ? "" : "s");
		buffer_print(&line, "%s\n", verdict);
	}
	fwrite(line.data, 1, line.len, stdout);
	buffer_free(&line);
}

int
main(int argc, char **argv)
{
	Options		options = {0};
	Ledger		ledger = {.options = &options};
	Buffer		verdict = {0};
	bool		met;
	int			status;

	sha256_choose(false);
	read_options(&options, argc, argv);
	if (options.policy_path != NULL)
		ledger.policy = policy_read(options.policy_path);
	read_notes(&ledger);
	if (options.export != NULL)
		read_export(&ledger);
	met = proofs_check(&ledger, &verdict);
	if (options.export != NULL)
	{
		if (verdict.len > 0)
			buffer_char(&verdict, '\n');
		met &= anchors_check(&ledger, &verdict);
	}
	buffer_char(&verdict, '\0');

	status = ledger.found.report.errors > 0 ? EXIT_PROBLEMS :
		met ? EXIT_SOUND : EXIT_POLICY;
	if (status == EXIT_PROBLEMS)
	{
		verdict.len = 0;
		buffer_print(&verdict, "NOT consistent: %lld problem%s",
					 (long long) ledger.found.report.errors,
					 ledger.found.report.errors == 1 ? "" : "s");
		buffer_char(&verdict, '\0');
	}
	print_summary(&ledger, status == EXIT_PROBLEMS ? "problems" :
				  status == EXIT_POLICY ? "policy" : "sound", verdict.data);
	if (fflush(stdout) != 0)
		fatal("could not write the result: %s", strerror(errno));
	return status;
}
