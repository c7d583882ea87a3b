
/*
 * Copyright (C) the ngx_http_mtd_module authors
 */


/*
 * The input is a status, in two bytes, and the query of an ActiveSync
 * request, whose command is refused; a reader of WBXML of this file's own
 * must find the command's elements in what was written.
 */


#include "fuzz.h"
#include "mtd_eas.h"
#include "mtd_wbxml.h"


/* of MS-ASWBXML, only what is looked for */

typedef struct {
    unsigned       page;
    unsigned       token;
    const char    *name;
} fuzz_token_t;


static const fuzz_token_t  fuzz_tokens[] = {
    { 0, 0x05, "AirSync:Sync" }, { 0, 0x0e, "AirSync:Status" },
    { 5, 0x05, "Move:MoveItems" }, { 5, 0x0b, "Move:Status" },
    { 6, 0x05, "GetItemEstimate:GetItemEstimate" },
    { 6, 0x0e, "GetItemEstimate:Status" },
    { 7, 0x0c, "FolderHierarchy:Status" },
    { 7, 0x13, "FolderHierarchy:FolderCreate" },
    { 7, 0x14, "FolderHierarchy:FolderDelete" },
    { 7, 0x15, "FolderHierarchy:FolderUpdate" },
    { 7, 0x16, "FolderHierarchy:FolderSync" },
    { 8, 0x07, "MeetingResponse:MeetingResponse" },
    { 8, 0x0b, "MeetingResponse:Status" },
    { 10, 0x05, "ResolveRecipients:ResolveRecipients" },
    { 10, 0x07, "ResolveRecipients:Status" },
    { 11, 0x05, "ValidateCert:ValidateCert" },
    { 11, 0x0a, "ValidateCert:Status" },
    { 13, 0x05, "Ping:Ping" }, { 13, 0x07, "Ping:Status" },
    { 14, 0x05, "Provision:Provision" }, { 14, 0x0b, "Provision:Status" },
    { 15, 0x05, "Search:Search" }, { 15, 0x0c, "Search:Status" },
    { 18, 0x05, "Settings:Settings" }, { 18, 0x06, "Settings:Status" },
    { 20, 0x05, "ItemOperations:ItemOperations" },
    { 20, 0x0d, "ItemOperations:Status" },
    { 21, 0x05, "ComposeMail:SendMail" },
    { 21, 0x06, "ComposeMail:SmartForward" },
    { 21, 0x07, "ComposeMail:SmartReply" },
    { 21, 0x12, "ComposeMail:Status" },
    { 25, 0x05, "Find:Find" }, { 25, 0x0a, "Find:Status" }
};


/* those of the root, by command */

static const char  *fuzz_roots[MTD_EAS_COMMAND_N] = {
    "AirSync:Sync", "ComposeMail:SendMail", "ComposeMail:SmartForward",
    "ComposeMail:SmartReply", NULL, NULL, NULL, NULL, NULL,
    "FolderHierarchy:FolderSync", "FolderHierarchy:FolderCreate",
    "FolderHierarchy:FolderDelete", "FolderHierarchy:FolderUpdate",
    "Move:MoveItems", "GetItemEstimate:GetItemEstimate",
    "MeetingResponse:MeetingResponse", "Search:Search", "Settings:Settings",
    "Ping:Ping", "ItemOperations:ItemOperations", "Provision:Provision",
    "ResolveRecipients:ResolveRecipients", "ValidateCert:ValidateCert",
    "Find:Find", NULL, NULL, NULL, NULL
};


static const char *
fuzz_name(unsigned page, unsigned token)
{
    size_t  i;

    for (i = 0; i < sizeof(fuzz_tokens) / sizeof(fuzz_tokens[0]); i++) {
        if (fuzz_tokens[i].page == page && fuzz_tokens[i].token == token) {
            return fuzz_tokens[i].name;
        }
    }

    fuzz_check(0, "an element that no answer has");

    return NULL;
}


/* a document as a text, "<Sync><Status>129</></>" */

static void
fuzz_document(char *to, size_t room, const u_char *p, size_t len)
{
    int            content;
    size_t         n;
    unsigned       page, depth;
    const u_char  *last, *end;

    last = p + len;
    page = 0;
    depth = 0;

    fuzz_check(len > 4 && memcmp(p, "\003\001\152\000", 4) == 0,
               "not WBXML 1.3 in UTF-8");

    p += 4;

    while (p < last) {

        fuzz_check(room > 64, "too long");

        switch (*p) {

        case 0x00:
            fuzz_check(last - p > 2, "no page");
            page = p[1];
            p += 2;
            continue;

        case 0x01:
            fuzz_check(depth, "an end too many");
            depth--;
            n = snprintf(to, room, "</>");
            p++;
            break;

        case 0x03:
            end = memchr(p + 1, 0, last - p - 1);
            fuzz_check(depth && end, "a text without an end");
            n = snprintf(to, room, "%s", (const char *) p + 1);
            p = end + 1;
            break;

        default:
            fuzz_check((*p & 0x80) == 0, "attributes");
            content = *p & 0x40;
            n = snprintf(to, room, content ? "<%s>" : "<%s/>",
                         fuzz_name(page, *p & 0x3f));
            depth += (content != 0);
            p++;
        }

        fuzz_check(n < room, "too long");
        fuzz_check(depth || p == last, "two documents");

        to += n;
        room -= n;
    }

    fuzz_check(depth == 0, "an element without an end");
}


int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char         got[256], expected[256];
    size_t       len;
    u_char      *buf, *copy;
    unsigned     status;
    mtd_eas_t    eas;
    mtd_str_t    args;
    const char  *root;

    if (size < 2) {
        return 0;
    }

    status = data[0] << 8 | data[1];

    copy = fuzz_copy(data + 2, size - 2);
    args.data = copy;
    args.len = size - 2;

    eas.command = size;

    if (mtd_eas_parse(&eas, &args) == MTD_EAS_OK) {
        fuzz_check(eas.command < MTD_EAS_COMMAND_N, "unknown command");
    }

    buf = malloc(MTD_WBXML_ERROR_MAX);

    if (buf == NULL) {
        abort();
    }

    len = mtd_wbxml_error(buf, eas.command, status);
    root = (eas.command < MTD_EAS_COMMAND_N) ? fuzz_roots[eas.command] : NULL;

    fuzz_check((len != 0) == (root && status >= 100 && status <= 999),
               "a document, or none, where it should not be");

    if (len) {
        fuzz_document(got, sizeof(got), buf, len);

        (void) snprintf(expected, sizeof(expected),
                        "<%s><%.*s:Status>%u</></>", root,
                        (int) strcspn(root, ":"), root, status);

        fuzz_check(strcmp(got, expected) == 0, got);
    }

    free(buf);
    free(copy);

    return 0;
}
