
/*
 * Copyright (C) the ngx_http_mtd_module authors
 */


#include <stdio.h>
#include <string.h>

#include "model.h"
#include "model_eas.h"


#define MODEL_PLAIN_MAX    32       /* of a device id */


/* MS-ASHTTP 2.2.1.1.1.2.5, and what is older than the base64 form */

static const char  *model_commands[MTD_EAS_COMMAND_N] = {
    "sync", "sendmail", "smartforward", "smartreply", "getattachment", NULL,
    NULL, NULL, NULL, "foldersync", "foldercreate", "folderdelete",
    "folderupdate", "moveitems", "getitemestimate", "meetingresponse",
    "search", "settings", "ping", "itemoperations", "provision",
    "resolverecipients", "validatecert", "find", "gethierarchy",
    "createcollection", "deletecollection", "movecollection"
};


static int
model_alnum(const u_char *p, size_t len)
{
    size_t  i;

    for (i = 0; i < len; i++) {
        if (!((p[i] >= '0' && p[i] <= '9') || (p[i] >= 'a' && p[i] <= 'z')
              || (p[i] >= 'A' && p[i] <= 'Z')))
        {
            return 0;
        }
    }

    return len != 0;
}


/* a word that stands for none */

static int
model_nobody(const u_char *p, size_t len)
{
    return model_equal(p, len, "0") || model_equal(p, len, "validate")
           || model_equal(p, len, "webservice");
}


/* the candidate i of eas is these bytes, folded or in hex */

static int
model_is(const mtd_eas_t *eas, unsigned i, const u_char *p, size_t len,
    int hex)
{
    char    text[2 * 255 + 1];
    size_t  k;

    for (k = 0; k < len; k++) {
        if (hex) {
            (void) snprintf(text + 2 * k, 3, "%02x", p[k]);

        } else {
            text[k] = (p[k] >= 'A' && p[k] <= 'Z') ? p[k] + 0x20 : p[k];
        }
    }

    text[hex ? 2 * len : len] = '\0';

    return eas->n > i && eas->id[i].len == strlen(text)
           && memcmp(eas->id[i].data, text, strlen(text)) == 0;
}


static const char *
model_eas_plain(const mtd_eas_t *eas, const u_char *p, size_t len)
{
    model_blob_t   blob;
    model_value_t  cmd, id, other;

    if (memchr(p, ';', len)) {
        return "another separator";
    }

    if (model_blob(&blob, p, len)) {
        return "it could be base64, too";
    }

    model_value(&other, p, len, "User");

    if (other.n > 1) {
        return "two users";
    }

    model_value(&other, p, len, "DeviceType");

    if (other.n > 1) {
        return "two types";
    }

    model_value(&cmd, p, len, "Cmd");

    if (eas->command >= MTD_EAS_COMMAND_N
        || model_commands[eas->command] == NULL
        || cmd.n != 1
        || !model_equal(cmd.data, cmd.len, model_commands[eas->command]))
    {
        return "another command";
    }

    model_value(&id, p, len, "DeviceId");

    if (id.n != 1 || id.len > MODEL_PLAIN_MAX
        || !model_alnum(id.data, id.len))
    {
        return "not one device";
    }

    if (model_nobody(id.data, id.len)) {
        return eas->n ? "a device that is none" : NULL;
    }

    if (eas->n != 1 || !model_is(eas, 0, id.data, id.len, 0)) {
        return "another device";
    }

    return NULL;
}


static const char *
model_eas_blob(const mtd_eas_t *eas, const u_char *p, size_t len)
{
    unsigned       n;
    model_blob_t   blob;
    model_value_t  cmd, id;

    model_value(&cmd, p, len, "Cmd");
    model_value(&id, p, len, "DeviceId");

    if (cmd.n || id.n) {
        return "it could be plain, too";
    }

    if (!model_blob(&blob, p, len)) {
        return "not in base64";
    }

    if (blob.version != eas->version) {
        return "another version";
    }

    if (blob.command != eas->command || blob.command > MTD_EAS_FIND
        || model_commands[blob.command] == NULL)
    {
        return "another command";
    }

    if (blob.len == 0 || blob.len > MODEL_PLAIN_MAX) {
        return "not one device";
    }

    n = 0;

    if (model_alnum(blob.id, blob.len)) {

        if (model_nobody(blob.id, blob.len)) {
            return eas->n ? "a device that is none" : NULL;
        }

        if (!model_is(eas, n++, blob.id, blob.len, 0)) {
            return "another device";
        }
    }

    if (!n || blob.len == 16) {

        if (!model_is(eas, n++, blob.id, blob.len, 1)) {
            return "another device in hex";
        }
    }

    return eas->n == n ? NULL : "more candidates";
}


const char *
model_eas(const mtd_eas_t *eas, const u_char *p, size_t len)
{
    size_t  i;

    for (i = 0; i < len; i++) {
        if (p[i] <= 0x20 || p[i] == 0x7f || p[i] == '#') {
            return "a byte that ends the query";
        }
    }

    return eas->version ? model_eas_blob(eas, p, len)
                        : model_eas_plain(eas, p, len);
}
