
/*
 * Copyright (C) the ngx_http_mtd_module authors
 */


#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>

#include "mtd_state.h"


#define MTD_STATE_MAGIC     "MTDSTATE"
#define MTD_STATE_VERSION   3
#define MTD_STATE_F_NAMED   0x0001
#define MTD_STATE_SIGNED    (MTD_STATE_HEADER - MTD_STATE_DIGEST)
#define MTD_STATE_MAX       (1ULL << 40)    /* of anything that is counted */


static u_char *
mtd_state_put(u_char *p, uint64_t n, unsigned bytes)
{
    while (bytes--) {
        *p++ = (u_char) n;
        n >>= 8;
    }

    return p;
}


static uint64_t
mtd_state_get(const u_char **p, unsigned bytes)
{
    uint64_t  n;
    unsigned  i;

    n = 0;

    for (i = 0; i < bytes; i++) {
        n |= (uint64_t) *(*p)++ << (8 * i);
    }

    return n;
}


static u_char *
mtd_state_put_hash(u_char *p, const mtd_hash_t *hash)
{
    p = mtd_state_put(p, hash->word[0], 8);

    return mtd_state_put(p, hash->word[1], 8);
}


static void
mtd_state_get_hash(const u_char **p, mtd_hash_t *hash)
{
    hash->word[0] = mtd_state_get(p, 8);
    hash->word[1] = mtd_state_get(p, 8);
}


static int
mtd_state_hmac(const void *key, size_t keylen, const void *p, size_t len,
    u_char *md)
{
    unsigned  n;

    return HMAC(EVP_sha256(), key, (int) keylen, p, len, md, &n)
           && n == MTD_STATE_DIGEST ? 0 : -1;
}


int
mtd_state_seal(mtd_state_seal_t *seal, const mtd_str_t *secret,
    const mtd_str_t *zone)
{
    u_char  md[EVP_MAX_MD_SIZE], text[256];

    static const u_char  domain[] = "state:";

    if (zone->len > sizeof(text) - sizeof(domain)) {
        return -1;
    }

    memcpy(text, domain, sizeof(domain) - 1);
    memcpy(text + sizeof(domain) - 1, zone->data, zone->len);

    if (mtd_state_hmac(secret->len ? secret->data : domain, secret->len, text,
                       sizeof(domain) - 1 + zone->len, md)
        != 0)
    {
        return -1;
    }

    memcpy(seal->key, md, sizeof(seal->key));

    if (mtd_state_hmac(seal->key, sizeof(seal->key), "fingerprint", 11, md)
        != 0)
    {
        return -1;
    }

    memcpy(seal->fingerprint, md, sizeof(seal->fingerprint));

    return 0;
}


u_char *
mtd_state_put_device(u_char *p, const mtd_state_device_t *device)
{
    const mtd_record_t  *rec;

    rec = &device->record;

    p = mtd_state_put_hash(p, &device->key);
    p = mtd_state_put(p, device->age, 8);
    p = mtd_state_put(p, rec->user, 8);
    p = mtd_state_put(p, rec->grace_until, 4);
    p = mtd_state_put(p, rec->reported_at, 4);
    p = mtd_state_put(p, rec->os, 4);
    p = mtd_state_put(p, rec->groups, 4);
    p = mtd_state_put(p, rec->vendor, 4);
    p = mtd_state_put(p, rec->ttl, 2);
    p = mtd_state_put(p, rec->threat, 1);
    p = mtd_state_put(p, rec->action, 1);
    p = mtd_state_put(p, rec->compliance, 1);
    p = mtd_state_put(p, rec->enrolled, 1);

    return mtd_state_put(p, rec->damaged, 2);
}


u_char *
mtd_state_put_alias(u_char *p, const mtd_state_alias_t *alias, unsigned named)
{
    p = mtd_state_put_hash(p, &alias->key);
    p = mtd_state_put_hash(p, &alias->device);
    p = mtd_state_put(p, alias->age, 8);

    return named ? mtd_state_put_hash(p, &alias->name) : p;
}


u_char *
mtd_state_put_text(u_char *p, const mtd_state_text_t *text)
{
    p = mtd_state_put(p, text->number, 4);
    p = mtd_state_put(p, text->text.len, 4);
    memcpy(p, text->text.data, text->text.len);

    return p + text->text.len;
}


int
mtd_state_put_head(u_char *p, const mtd_state_head_t *head,
    const u_char *digest, const mtd_state_seal_t *seal)
{
    u_char  *start;

    start = p;

    memcpy(p, MTD_STATE_MAGIC, 8);
    p = mtd_state_put(p + 8, MTD_STATE_VERSION, 4);
    p = mtd_state_put(p, head->named ? MTD_STATE_F_NAMED : 0, 4);

    memcpy(p, seal->fingerprint, sizeof(seal->fingerprint));
    p = mtd_state_put_hash(p + sizeof(seal->fingerprint), &head->key);

    p = mtd_state_put(p, head->wall, 8);
    p = mtd_state_put(p, head->clock, 8);
    p = mtd_state_put(p, head->devices, 8);
    p = mtd_state_put(p, head->aliases, 8);
    p = mtd_state_put(p, head->texts, 8);

    memcpy(p, digest, MTD_STATE_DIGEST);

    return mtd_state_hmac(seal->key, sizeof(seal->key), start,
                          MTD_STATE_SIGNED, start + MTD_STATE_SIGNED);
}


const char *
mtd_state_head(const u_char *p, uint64_t size, mtd_state_head_t *head,
    const mtd_state_seal_t *seal)
{
    u_char         md[EVP_MAX_MD_SIZE];
    uint64_t       flags;
    const u_char  *start;

    if (size < MTD_STATE_HEADER) {
        return "it is too short";
    }

    start = p;

    if (memcmp(p, MTD_STATE_MAGIC, 8) != 0) {
        return "it is no state file";
    }

    p += 8;

    if (mtd_state_get(&p, 4) != MTD_STATE_VERSION) {
        return "it is of another version";
    }

    flags = mtd_state_get(&p, 4);

    if (memcmp(p, seal->fingerprint, sizeof(seal->fingerprint)) != 0) {
        return "it is of another store, server, database, prefix or "
               "key_secret";
    }

    p += sizeof(seal->fingerprint);

    if (mtd_state_hmac(seal->key, sizeof(seal->key), start, MTD_STATE_SIGNED,
                       md)
        != 0
        || CRYPTO_memcmp(md, start + MTD_STATE_SIGNED, MTD_STATE_DIGEST) != 0)
    {
        return "its header is damaged";
    }

    head->named = (flags & MTD_STATE_F_NAMED) != 0;

    mtd_state_get_hash(&p, &head->key);
    head->wall = mtd_state_get(&p, 8);
    head->clock = mtd_state_get(&p, 8);
    head->devices = mtd_state_get(&p, 8);
    head->aliases = mtd_state_get(&p, 8);
    head->texts = mtd_state_get(&p, 8);

    if (head->devices > MTD_STATE_MAX || head->aliases > MTD_STATE_MAX
        || head->texts > MTD_STATE_MAX
        || MTD_STATE_HEADER + head->devices * MTD_STATE_DEVICE
           + head->aliases * mtd_state_alias_size(head->named) + head->texts
           != size)
    {
        return "its length is not what it says";
    }

    return NULL;
}


static const u_char *
mtd_state_texts(const u_char *p, const mtd_state_head_t *head)
{
    return p + MTD_STATE_HEADER + head->devices * MTD_STATE_DEVICE
           + head->aliases * mtd_state_alias_size(head->named);
}


const char *
mtd_state_body(const u_char *p, const mtd_state_head_t *head)
{
    u_char              md[EVP_MAX_MD_SIZE];
    uint64_t            i, left, len, number, before;
    unsigned            n;
    const u_char       *texts;
    mtd_state_alias_t   alias;
    mtd_state_device_t  device;

    texts = mtd_state_texts(p, head);
    left = head->texts;

    if (!EVP_Digest(p + MTD_STATE_HEADER,
                    (size_t) (texts - p) - MTD_STATE_HEADER + left, md, &n,
                    EVP_sha256(), NULL)
        || CRYPTO_memcmp(md, p + MTD_STATE_SIGNED - MTD_STATE_DIGEST,
                         MTD_STATE_DIGEST)
           != 0)
    {
        return "it is damaged";
    }

    /* a sum proves who wrote it, not that it was written well */

    for (i = 0; i < head->devices; i++) {
        mtd_state_device(p, head, i, &device);

        if (device.age > MTD_STATE_AGE_MAX
            || (device.key.word[0] | device.key.word[1]) == 0
            || device.record.threat >= MTD_THREAT_N
            || device.record.compliance >= MTD_COMPLIANCE_N
            || device.record.enrolled >= MTD_ENROLLED_N
            || device.record.action >= MTD_ACTION_N)
        {
            return "a device in it cannot be read";
        }
    }

    for (i = 0; i < head->aliases; i++) {
        mtd_state_alias(p, head, i, &alias);

        if (alias.age > MTD_STATE_AGE_MAX
            || (alias.key.word[0] | alias.key.word[1]) == 0
            || (alias.name.word[0] | alias.name.word[1]) == 0)
        {
            return "an alias in it cannot be read";
        }
    }

    for (before = 0; left; before = number) {

        if (left < MTD_STATE_TEXT) {
            return "a text in it is cut";
        }

        number = mtd_state_get(&texts, 4);
        len = mtd_state_get(&texts, 4);
        left -= MTD_STATE_TEXT;

        if (len == 0 || len > MTD_GROUPS_MAX || len > left
            || number <= before)
        {
            return "a text in it cannot be read";
        }

        texts += len;
        left -= len;
    }

    return NULL;
}


/* what does not fit the record's bits is made unfit: the body is refused */

void
mtd_state_device(const u_char *p, const mtd_state_head_t *head, uint64_t i,
    mtd_state_device_t *device)
{
    uint64_t       threat, action, compliance, enrolled;
    mtd_record_t  *rec;

    p += MTD_STATE_HEADER + i * MTD_STATE_DEVICE;
    rec = &device->record;

    memset(device, 0, sizeof(mtd_state_device_t));

    mtd_state_get_hash(&p, &device->key);
    device->age = mtd_state_get(&p, 8);

    rec->user = mtd_state_get(&p, 8);
    rec->grace_until = (uint32_t) mtd_state_get(&p, 4);
    rec->reported_at = (uint32_t) mtd_state_get(&p, 4);
    rec->os = (uint32_t) mtd_state_get(&p, 4);
    rec->groups = (uint32_t) mtd_state_get(&p, 4);
    rec->vendor = (uint32_t) mtd_state_get(&p, 4);
    rec->ttl = (uint16_t) mtd_state_get(&p, 2);

    threat = mtd_state_get(&p, 1);
    action = mtd_state_get(&p, 1);
    compliance = mtd_state_get(&p, 1);
    enrolled = mtd_state_get(&p, 1);

    if (threat > 15 || action > 15 || compliance > 15 || enrolled > 3) {
        device->age = UINT64_MAX;
        return;
    }

    rec->threat = threat & 15;
    rec->action = action & 15;
    rec->compliance = compliance & 15;
    rec->enrolled = enrolled & 3;
    rec->damaged = mtd_state_get(&p, 2) != 0;
}


void
mtd_state_alias(const u_char *p, const mtd_state_head_t *head, uint64_t i,
    mtd_state_alias_t *alias)
{
    p += MTD_STATE_HEADER + head->devices * MTD_STATE_DEVICE
         + i * mtd_state_alias_size(head->named);

    mtd_state_get_hash(&p, &alias->key);
    mtd_state_get_hash(&p, &alias->device);
    alias->age = mtd_state_get(&p, 8);
    alias->name = alias->key;

    if (head->named) {
        mtd_state_get_hash(&p, &alias->name);
    }
}


int
mtd_state_text(const u_char *p, const mtd_state_head_t *head, uint64_t *at,
    mtd_state_text_t *text)
{
    if (*at == head->texts) {
        return 0;
    }

    p = mtd_state_texts(p, head) + *at;

    text->number = (uint32_t) mtd_state_get(&p, 4);
    text->text.len = (size_t) mtd_state_get(&p, 4);
    text->text.data = (u_char *) p;

    *at += MTD_STATE_TEXT + text->text.len;

    return 1;
}
