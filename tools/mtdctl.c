
/*
 * Copyright (C) the ngx_http_mtd_module authors
 */


#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <pwd.h>
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include "mtdctl.h"


#define MTDCTL_VERSION        "0.1.0"
#define MTDCTL_SECRET_FILE    4096


typedef struct {
    const char   *object;
    const char   *verb;         /* NULL: the object is the command */
    int           min;          /* of arguments */
    int           max;          /* -1: any number */
    unsigned      offline:1;    /* Redis is not asked */
    int         (*run)(mtdctl_t *ctl, int argc, char **argv);
    const char   *usage;
    const char   *help;
} mtdctl_command_t;


static int mtdctl_main(mtdctl_t *ctl, int argc, char **argv);
static int mtdctl_option(mtdctl_t *ctl, int option, const char *value,
    int *help);
static int mtdctl_run(mtdctl_t *ctl, const mtdctl_command_t *command,
    int argc, char **argv);
static const mtdctl_command_t *mtdctl_command(int argc, char **argv);
static int mtdctl_unknown(mtdctl_t *ctl, int argc, char **argv);
static int mtdctl_help(int argc, char **argv,
    const mtdctl_command_t *command);
static int mtdctl_secret_file(mtdctl_t *ctl, const char *name,
    const char *path, mtd_str_t *secret);
static int mtdctl_secret_read(mtdctl_t *ctl, const char *name,
    const char *path, int fd, mtd_str_t *secret);
static void mtdctl_secret_forget(mtd_str_t *secret);
static void mtdctl_who(mtdctl_t *ctl);
static int mtdctl_name_device(mtdctl_t *ctl, int argc, char **argv);
static int mtdctl_name_alias(mtdctl_t *ctl, int argc, char **argv);
static int mtdctl_name_user(mtdctl_t *ctl, int argc, char **argv);


static const mtdctl_command_t  mtdctl_commands[] = {

    { "device", "set", 2, -1, 0, mtdctl_device_set,
      "device set ID FIELD=VALUE ... [alias=KIND:VALUE ...]",
      "Makes a device or changes what is named; FIELD= removes a field.\n"
      "Fields: threat compliance grace_until enrolled reported_at action\n"
      "os user groups vendor threat:VENDOR reported_at:VENDOR.\n"
      "A time is a number as in the record, 2026-11-24T08:30:00Z or now.\n"
      "With threat:VENDOR and without threat, threat becomes the worst of\n"
      "the vendors' words.  --force takes an alias from another device.\n" },

    { "device", "get", 1, 1, 0, mtdctl_device_get,
      "device get ID|KIND:VALUE",
      "Prints the record of a device.\n" },

    { "device", "list", 0, 0, 0, mtdctl_device_list,
      "device list",
      "Prints all devices; with --json in a form that import reads.\n" },

    { "device", "erase", 1, 1, 0, mtdctl_device_erase,
      "device erase ID",
      "Removes a device, its aliases and its place among its user's\n"
      "devices; only the line in the audit stream stays.\n" },

    { "alias", "set", 3, 3, 0, mtdctl_alias_set,
      "alias set KIND VALUE ID",
      "Adds an alias to a device that is there.  Kinds: eas entra intune\n"
      "serial imei cert udid vendor.NAME.  --force takes it from another\n"
      "device.\n" },

    { "alias", "get", 2, 2, 0, mtdctl_alias_get,
      "alias get KIND VALUE",
      "Prints the ID of the device.\n" },

    { "alias", "erase", 2, 2, 0, mtdctl_alias_erase,
      "alias erase KIND VALUE",
      "Removes an alias.\n" },

    { "alias", "list", 1, 1, 0, mtdctl_alias_list,
      "alias list ID",
      "Prints the aliases of a device.\n" },

    { "import", NULL, 1, 1, 0, mtdctl_import,
      "import [--strict] [--format csv|jsonl] FILE|-",
      "Imports devices.  A bad row is named by line and field and skipped;\n"
      "with --strict all rows are checked before the first is written.\n"
      "CSV: a header line of id, fields and alias:KIND; an empty cell\n"
      "removes the field, an empty alias cell does nothing.  JSON Lines:\n"
      "{\"id\": \"x\", \"threat\": \"secured\", \"aliases\": {\"eas\":"
      " [\"y\"]}}.\n"
      "A device that would not change is left alone until half of its TTL\n"
      "is over.\n" },

    { "bypass", "status", 0, 0, 0, mtdctl_bypass_status,
      "bypass status",
      "Tells whether devices are let pass, until when, by whom and why.\n"
      "Exit status 1: they are not.\n" },

    { "bypass", "end", 0, 0, 0, mtdctl_bypass_end,
      "bypass end",
      "Ends the bypass before its time.\n" },

    { "bypass", NULL, 1, 1, 0, mtdctl_bypass,
      "bypass DURATION --why TEXT",
      "Break-glass: for 1m to 24h all gates let pass what they would refuse\n"
      "for its device, but for devices with action=block or wipe and\n"
      "policies with \"bypass off\".  It ends by itself; \"bypass end\" ends\n"
      "it before.\n" },

    { "name", "device", 1, 1, 1, mtdctl_name_device,
      "name device ID",
      "Prints the name of the device's key in Redis.\n" },

    { "name", "alias", 2, 2, 1, mtdctl_name_alias,
      "name alias KIND VALUE",
      "Prints the name of the alias's key in Redis.\n" },

    { "name", "user", 1, 1, 1, mtdctl_name_user,
      "name user UPN",
      "Prints the name of the key of a user's devices in Redis.\n" },

    { NULL, NULL, 0, 0, 0, NULL, NULL, NULL }
};


static const char  mtdctl_options_help[] =
    "Options:\n"
    "  --redis unix:PATH|HOST:PORT   where Redis is [127.0.0.1:6379]\n"
    "  --cluster                     --redis is a node of a Redis Cluster\n"
    "  --sentinel NAME=HOST:PORT[,HOST:PORT...]\n"
    "                                in the place of --redis: these Sentinels\n"
    "                                know where the master NAME is\n"
    "  --sentinel-password-file FILE holds the Sentinels' own password\n"
    "  --user NAME                   Redis user, with --password-file\n"
    "  --password-file FILE          holds the Redis password\n"
    "  --tls                         with TLS; the host must be named in the\n"
    "                                server's certificate\n"
    "  --cacert FILE                 of trusted CAs [those of the system]\n"
    "  --cert FILE, --key FILE       certificate to log in with, and its key\n"
    "  --sni NAME                    of the server, if it is not the host\n"
    "  --insecure                    trust whoever answers; for tests\n"
    "  --database N                  Redis database [0]\n"
    "  --prefix TEXT                 of all keys [mtd:]\n"
    "  --key-secret-file FILE        holds the secret of pseudonyms, as the\n"
    "                                gate's key_secret\n"
    "  --ttl TIME                    of what is written [30d]; s m h d\n"
    "  --timeout TIME                of Redis [5s]\n"
    "  --json                        print JSON, one object a line\n"
    "  --force                       take an alias from another device\n"
    "  --strict, --format FORMAT     see import\n"
    "  --why TEXT                    see bypass\n"
    "  --help, --version\n"
    "\n"
    "Exit status:\n"
    "  0  done\n"
    "  1  there is no such device or alias, or no bypass\n"
    "  2  wrong usage or bad value, nothing was written; or import skipped\n"
    "     bad rows\n"
    "  3  Redis could not be reached or refused, or a file could not be\n"
    "     read or written to its end\n";


static const struct option  mtdctl_options[] = {
    { "redis", required_argument, NULL, 'r' },
    { "cluster", no_argument, NULL, 'c' },
    { "sentinel", required_argument, NULL, 'e' },
    { "sentinel-password-file", required_argument, NULL, 'E' },
    { "user", required_argument, NULL, 'u' },
    { "password-file", required_argument, NULL, 'p' },
    { "tls", no_argument, NULL, 'T' },
    { "cacert", required_argument, NULL, 'A' },
    { "cert", required_argument, NULL, 'C' },
    { "key", required_argument, NULL, 'K' },
    { "sni", required_argument, NULL, 'S' },
    { "insecure", no_argument, NULL, 'I' },
    { "database", required_argument, NULL, 'd' },
    { "prefix", required_argument, NULL, 'x' },
    { "key-secret-file", required_argument, NULL, 'k' },
    { "ttl", required_argument, NULL, 't' },
    { "timeout", required_argument, NULL, 'o' },
    { "format", required_argument, NULL, 'f' },
    { "json", no_argument, NULL, 'j' },
    { "force", no_argument, NULL, 'F' },
    { "strict", no_argument, NULL, 's' },
    { "why", required_argument, NULL, 'w' },
    { "help", no_argument, NULL, 'h' },
    { "version", no_argument, NULL, 'v' },
    { NULL, 0, NULL, 0 }
};


int
main(int argc, char **argv)
{
    int       status;
    mtdctl_t  ctl;

    memset(&ctl, 0, sizeof(mtdctl_t));

    ctl.address = "127.0.0.1:6379";
    ctl.timeout = 5;
    ctl.ttl = 30 * 24 * 3600;
    ctl.names.prefix.data = (u_char *) "mtd:";
    ctl.names.prefix.len = 4;

    /* a connection or a pipe that is gone is an error, not our end */

    signal(SIGPIPE, SIG_IGN);

    status = mtdctl_main(&ctl, argc, argv);

    if (fflush(stdout) != 0 || ferror(stdout)) {
        if (status == 0) {
            status = mtdctl_fail(&ctl, MTDCTL_STORE, "cannot write: %s",
                                 strerror(errno));
        }
    }

    if (status != 0 && ctl.error[0]) {
        fprintf(stderr, "mtdctl: %s\n", ctl.error);
    }

    mtdctl_redis_close(&ctl);
    mtdctl_release(&ctl);
    mtdctl_secret_forget(&ctl.password);
    mtdctl_secret_forget(&ctl.sentinel_password);
    mtdctl_secret_forget(&ctl.names.secret);

    return status;
}


static int
mtdctl_main(mtdctl_t *ctl, int argc, char **argv)
{
    int                      c, help;
    const mtdctl_command_t  *command;

    help = 0;

    for ( ;; ) {
        c = getopt_long(argc, argv, "", mtdctl_options, NULL);

        if (c == -1) {
            break;
        }

        if (mtdctl_option(ctl, c, optarg, &help) != 0) {
            return MTDCTL_BAD;
        }
    }

    if (help == 'v') {
        puts("mtdctl " MTDCTL_VERSION);
        return 0;
    }

    argc -= optind;
    argv += optind;

    command = mtdctl_command(argc, argv);

    if (help) {
        return mtdctl_help(argc, argv, command);
    }

    if (command == NULL) {
        return mtdctl_unknown(ctl, argc, argv);
    }

    c = command->verb ? 2 : 1;

    return mtdctl_run(ctl, command, argc - c, argv + c);
}


static int
mtdctl_run(mtdctl_t *ctl, const mtdctl_command_t *command, int argc,
    char **argv)
{
    int  status;

    if (argc < command->min || (command->max >= 0 && argc > command->max)) {
        return mtdctl_fail(ctl, MTDCTL_BAD, "usage: mtdctl %s",
                           command->usage);
    }

    if (ctl->user && ctl->password.len == 0) {
        return mtdctl_fail(ctl, MTDCTL_BAD, "--user is of no use without"
                           " --password-file");
    }

    if (!ctl->secure && (ctl->cacert || ctl->cert || ctl->key || ctl->sni
                         || ctl->insecure))
    {
        return mtdctl_fail(ctl, MTDCTL_BAD, "--cacert, --cert, --key, --sni"
                           " and --insecure are of no use without --tls");
    }

    if (ctl->sentinel && (ctl->redis_given || ctl->clustered)) {
        return mtdctl_fail(ctl, MTDCTL_BAD, "--sentinel does not go together"
                           " with --redis or --cluster");
    }

    if (ctl->sentinel_password.len && ctl->sentinel == NULL) {
        return mtdctl_fail(ctl, MTDCTL_BAD, "--sentinel-password-file is of"
                           " no use without --sentinel");
    }

    if (ctl->clustered && ctl->database) {
        return mtdctl_fail(ctl, MTDCTL_BAD, "--database: a cluster has the"
                           " database 0 only");
    }

    if ((ctl->cert == NULL) != (ctl->key == NULL)) {
        return mtdctl_fail(ctl, MTDCTL_BAD, "--cert and --key belong"
                           " together");
    }

    if (ctl->why && command->run != mtdctl_bypass) {
        return mtdctl_fail(ctl, MTDCTL_BAD, "--why is of no use but with"
                           " bypass DURATION");
    }

    if (ctl->force && command->run != mtdctl_device_set
        && command->run != mtdctl_alias_set && command->run != mtdctl_import)
    {
        return mtdctl_fail(ctl, MTDCTL_BAD, "--force is of no use but with"
                           " device set, alias set and import");
    }

    if ((ctl->strict || ctl->format) && command->run != mtdctl_import) {
        return mtdctl_fail(ctl, MTDCTL_BAD, "--strict and --format are of no"
                           " use but with import");
    }

    if (!command->offline) {
        mtdctl_who(ctl);

        status = mtdctl_redis_connect(ctl);

        if (status != 0) {
            return status;
        }
    }

    return command->run(ctl, argc, argv);
}


static int
mtdctl_option(mtdctl_t *ctl, int option, const char *value, int *help)
{
    char  *end;

    switch (option) {

    case 'r':
        ctl->address = value;
        ctl->redis_given = 1;
        return 0;

    case 'c':
        ctl->clustered = 1;
        return 0;

    case 'e':
        ctl->sentinel = value;
        return 0;

    case 'E':
        return mtdctl_secret_file(ctl, "--sentinel-password-file", value,
                                  &ctl->sentinel_password);

    case 'u':
        ctl->user = value;
        return 0;

    case 'p':
        return mtdctl_secret_file(ctl, "--password-file", value,
                                  &ctl->password);

    case 'k':
        if (mtdctl_secret_file(ctl, "--key-secret-file", value,
                               &ctl->names.secret)
            != 0)
        {
            return MTDCTL_BAD;
        }

        if (ctl->names.secret.len < MTD_SECRET_MIN
            || ctl->names.secret.len > MTD_SECRET_MAX)
        {
            return mtdctl_fail(ctl, MTDCTL_BAD, "--key-secret-file: the"
                               " secret in \"%.300s\" must have %d to %d"
                               " bytes", value, MTD_SECRET_MIN,
                               MTD_SECRET_MAX);
        }

        return 0;

    case 'T':
        ctl->secure = 1;
        return 0;

    case 'A':
        ctl->cacert = value;
        return 0;

    case 'C':
        ctl->cert = value;
        return 0;

    case 'K':
        ctl->key = value;
        return 0;

    case 'S':
        ctl->sni = value;
        return 0;

    case 'I':
        ctl->insecure = 1;
        return 0;

    case 'd':
        errno = 0;
        ctl->database = strtoul(value, &end, 10);

        if (*value < '0' || *value > '9' || *end != '\0' || errno
            || ctl->database > INT32_MAX)
        {
            return mtdctl_fail(ctl, MTDCTL_BAD, "--database: \"%.64s\" is no"
                               " number of a database", value);
        }

        return 0;

    case 'x':
        ctl->names.prefix.data = (u_char *) value;
        ctl->names.prefix.len = strlen(value);

        if (ctl->names.prefix.len > MTD_PREFIX_MAX) {
            return mtdctl_fail(ctl, MTDCTL_BAD, "--prefix: longer than %d"
                               " bytes", MTD_PREFIX_MAX);
        }

        return 0;

    case 't':
        return mtdctl_duration(ctl, "--ttl", value, &ctl->ttl);

    case 'o':
        return mtdctl_duration(ctl, "--timeout", value, &ctl->timeout);

    case 'f':
        ctl->format = value;
        return 0;

    case 'w':
        ctl->why = value;
        return 0;

    case 'j':
        ctl->json = 1;
        return 0;

    case 'F':
        ctl->force = 1;
        return 0;

    case 's':
        ctl->strict = 1;
        return 0;

    case 'h':
    case 'v':
        *help = option;
        return 0;

    default: /* '?', getopt has said why */
        return mtdctl_fail(ctl, MTDCTL_BAD, "see mtdctl --help");
    }
}


static const mtdctl_command_t *
mtdctl_command(int argc, char **argv)
{
    const mtdctl_command_t  *c;

    for (c = mtdctl_commands; c->object != NULL && argc; c++) {
        if (strcmp(argv[0], c->object) == 0
            && (c->verb == NULL
                || (argc > 1 && strcmp(argv[1], c->verb) == 0)))
        {
            return c;
        }
    }

    return NULL;
}


/* names those that there are: of the object, or the objects */

static int
mtdctl_unknown(mtdctl_t *ctl, int argc, char **argv)
{
    int                      of;
    char                     words[256];
    size_t                   len;
    const char              *word, *last;
    const mtdctl_command_t  *c;

    of = 0;

    for (c = mtdctl_commands; c->object != NULL && argc; c++) {
        of |= (strcmp(argv[0], c->object) == 0);
    }

    len = 0;
    last = "";
    words[0] = '\0';

    for (c = mtdctl_commands; c->object != NULL; c++) {

        if (of && strcmp(argv[0], c->object) != 0) {
            continue;
        }

        word = of ? c->verb : c->object;

        if (strcmp(word, last) != 0) {
            len += snprintf(words + len, sizeof(words) - len, " %s", word);
            last = word;
        }
    }

    if (argc == 0) {
        return mtdctl_fail(ctl, MTDCTL_BAD, "no command, it must be one of"
                           "%s; see mtdctl --help", words);
    }

    if (!of) {
        return mtdctl_fail(ctl, MTDCTL_BAD, "unknown command \"%.64s\", it"
                           " must be one of%s; see mtdctl --help", argv[0],
                           words);
    }

    if (argc == 1) {
        return mtdctl_fail(ctl, MTDCTL_BAD, "%s what? It must be one of%s;"
                           " see mtdctl %s --help", argv[0], words, argv[0]);
    }

    return mtdctl_fail(ctl, MTDCTL_BAD, "unknown command \"%s %.64s\", it must"
                       " be one of%s; see mtdctl %s --help", argv[0], argv[1],
                       words, argv[0]);
}


/* of the command, of all commands of an object, or of everything */

static int
mtdctl_help(int argc, char **argv, const mtdctl_command_t *command)
{
    const mtdctl_command_t  *c;

    if (command) {
        printf("usage: mtdctl [options] %s\n\n%s\n%s", command->usage,
               command->help, mtdctl_options_help);
        return 0;
    }

    puts("usage: mtdctl [options] COMMAND\n\nCommands:");

    for (c = mtdctl_commands; c->object != NULL; c++) {
        if (argc == 0 || strcmp(argv[0], c->object) == 0) {
            printf("  %s\n", c->usage);
        }
    }

    printf("\n\"mtdctl COMMAND --help\" says more.\n\n%s",
           mtdctl_options_help);

    return 0;
}


int
mtdctl_duration(mtdctl_t *ctl, const char *name, const char *text,
    long *seconds)
{
    char   *end;
    long    n, unit;

    errno = 0;
    n = strtol(text, &end, 10);
    unit = 1;

    switch (*end) {

    case 'd':
        unit = 24 * 3600;
        break;

    case 'h':
        unit = 3600;
        break;

    case 'm':
        unit = 60;
        break;

    case 's':
    case '\0':
        break;

    default:
        unit = 0;
        break;
    }

    if (*text < '0' || *text > '9' || errno || unit == 0
        || (*end && end[1]) || n < 1 || n > 10L * 366 * 24 * 3600 / unit)
    {
        return mtdctl_fail(ctl, MTDCTL_BAD, "%s: \"%.64s\" is no time from 1s"
                           " to 3660d", name, text);
    }

    *seconds = n * unit;

    return 0;
}


/* the same rules as for a secret of the gate */

static int
mtdctl_secret_file(mtdctl_t *ctl, const char *name, const char *path,
    mtd_str_t *secret)
{
    int          fd, status;
    struct stat  st;

    mtdctl_secret_forget(secret);

    fd = open(path, O_RDONLY|O_CLOEXEC);

    if (fd == -1 || fstat(fd, &st) == -1) {
        status = mtdctl_fail(ctl, MTDCTL_BAD, "%s: cannot open \"%.300s\":"
                             " %s", name, path, strerror(errno));

    } else if (st.st_mode & 07) {
        status = mtdctl_fail(ctl, MTDCTL_BAD, "%s: \"%.300s\" is open to"
                             " everybody: chmod 600 it", name, path);

    } else {
        status = mtdctl_secret_read(ctl, name, path, fd, secret);
    }

    if (fd != -1) {
        close(fd);
    }

    return status;
}


static int
mtdctl_secret_read(mtdctl_t *ctl, const char *name, const char *path, int fd,
    mtd_str_t *secret)
{
    ssize_t  n;

    secret->data = malloc(MTDCTL_SECRET_FILE);

    if (secret->data == NULL) {
        mtdctl_fatal_memory();
    }

    secret->len = 0;

    do {
        n = read(fd, secret->data + secret->len,
                 MTDCTL_SECRET_FILE - secret->len);

        if (n == -1) {
            return mtdctl_fail(ctl, MTDCTL_BAD, "%s: cannot read \"%.300s\":"
                               " %s", name, path, strerror(errno));
        }

        secret->len += n;

    } while (n && secret->len < MTDCTL_SECRET_FILE);

    if (secret->len == MTDCTL_SECRET_FILE) {
        return mtdctl_fail(ctl, MTDCTL_BAD, "%s: \"%.300s\" is too long",
                           name, path);
    }

    while (secret->len && (secret->data[secret->len - 1] == '\n'
                           || secret->data[secret->len - 1] == '\r'))
    {
        secret->len--;
    }

    if (secret->len == 0) {
        return mtdctl_fail(ctl, MTDCTL_BAD, "%s: \"%.300s\" is empty", name,
                           path);
    }

    if (memchr(secret->data, '\n', secret->len) != NULL) {
        return mtdctl_fail(ctl, MTDCTL_BAD, "%s: \"%.300s\" has more than one"
                           " line", name, path);
    }

    return 0;
}


static void
mtdctl_secret_forget(mtd_str_t *secret)
{
    if (secret->data) {
        explicit_bzero(secret->data, MTDCTL_SECRET_FILE);
        free(secret->data);
    }

    secret->data = NULL;
    secret->len = 0;
}


/* who writes, for the audit; the uid tells, LOGNAME does not */

static void
mtdctl_who(mtdctl_t *ctl)
{
    char            host[128], buf[4096];
    struct passwd   entry, *pw;

    if (gethostname(host, sizeof(host)) != 0) {
        strcpy(host, "?");
    }

    host[sizeof(host) - 1] = '\0';

    if (getpwuid_r(getuid(), &entry, buf, sizeof(buf), &pw) == 0 && pw) {
        snprintf(ctl->who, sizeof(ctl->who), "%.100s@%s", pw->pw_name, host);

    } else {
        snprintf(ctl->who, sizeof(ctl->who), "%ld@%s", (long) getuid(), host);
    }
}


static int
mtdctl_name_device(mtdctl_t *ctl, int argc, char **argv)
{
    mtd_str_t  text, id, key;

    text = mtdctl_text(ctl, argv[0]);

    if (mtdctl_value_id(ctl, &text, &id) != 0
        || mtdctl_record_device_key(ctl, &id, &key) != 0)
    {
        return MTDCTL_BAD;
    }

    puts(mtdctl_show(ctl, &key));

    return 0;
}


static int
mtdctl_name_alias(mtdctl_t *ctl, int argc, char **argv)
{
    mtd_str_t  text[2], kind, value, key;

    text[0] = mtdctl_text(ctl, argv[0]);
    text[1] = mtdctl_text(ctl, argv[1]);

    if (mtdctl_value_kind(ctl, &text[0], &kind) != 0
        || mtdctl_value_alias(ctl, &kind, &text[1], &value) != 0
        || mtdctl_record_alias_key(ctl, &kind, &value, &key) != 0)
    {
        return MTDCTL_BAD;
    }

    puts(mtdctl_show(ctl, &key));

    return 0;
}


static int
mtdctl_name_user(mtdctl_t *ctl, int argc, char **argv)
{
    mtd_str_t  text, user, key;

    text = mtdctl_text(ctl, argv[0]);

    if (mtdctl_value_user(ctl, &text, &user) != 0
        || mtdctl_record_user_key(ctl, &user, &key) != 0)
    {
        return MTDCTL_BAD;
    }

    puts(mtdctl_show(ctl, &key));

    return 0;
}
