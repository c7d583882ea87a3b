
/*
 * Copyright (C) the ngx_http_mtd_module authors
 */


/*
 * Names of keys in Redis, the same in the gate and in mtdctl.  Plain C,
 * needs OpenSSL for the pseudonyms.
 */


#ifndef _MTD_KEY_H_INCLUDED_
#define _MTD_KEY_H_INCLUDED_


#include "mtd_record.h"


#define MTD_PREFIX_MAX       64
#define MTD_PSEUDONYM_LEN    32
#define MTD_SECRET_MIN       16     /* bytes */
#define MTD_SECRET_MAX       256

/* prefix, "alias:", kind, ":", value */

#define MTD_KEY_MAX          (MTD_PREFIX_MAX + 8 + MTD_KIND_MAX + MTD_USER_MAX)


/* secret.len == 0: names are plain; nothing is owned */

typedef struct {
    mtd_str_t   prefix;
    mtd_str_t   secret;
} mtd_names_t;


/*
 * With a secret the ID, VALUE or UPN of a name is the first 32 lower-case hex
 * digits of HMAC-SHA256(secret, DOMAIN ":" text), DOMAIN being "device",
 * "alias:KIND" or "user", so that equal texts of two kinds do not show.
 * text must be folded already.  p needs room for MTD_KEY_MAX bytes;
 * return the end, or NULL if the text does not fit or HMAC failed.
 */

u_char *mtd_key_device(u_char *p, const mtd_names_t *names,
    const mtd_str_t *id);
u_char *mtd_key_alias(u_char *p, const mtd_names_t *names,
    const mtd_str_t *kind, const mtd_str_t *value);
u_char *mtd_key_user(u_char *p, const mtd_names_t *names,
    const mtd_str_t *upn);

/*
 * ASCII letters to lower case, in place.  Returns 0, or -1 if the text is
 * empty, longer than max, or has a byte below 0x21 or 0x7f.
 */

int mtd_fold(mtd_str_t *text, size_t max);

/* a kind: eas entra intune serial imei cert udid, or vendor.NAME */

int mtd_kind_valid(const mtd_str_t *kind);


#endif /* _MTD_KEY_H_INCLUDED_ */
