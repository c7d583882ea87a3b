
/*
 * Copyright (C) the ngx_http_mtd_module authors
 */


/*
 * The query of an ActiveSync request, both of its forms.  What has two
 * readings is refused.  Plain C.
 */


#ifndef _MTD_EAS_H_INCLUDED_
#define _MTD_EAS_H_INCLUDED_


#include "mtd_words.h"


#define MTD_EAS_OK             0
#define MTD_EAS_MALFORMED      1


#define MTD_EAS_BYTES_MAX      32   /* of a device id, as it was sent */
#define MTD_EAS_ID_MAX         (2 * MTD_EAS_BYTES_MAX)
#define MTD_EAS_CANDIDATES     2


/* up to Find, the numbers are the command codes of the base64 form */

typedef enum {
    MTD_EAS_SYNC = 0,
    MTD_EAS_SEND_MAIL = 1,
    MTD_EAS_SMART_FORWARD = 2,
    MTD_EAS_SMART_REPLY = 3,
    MTD_EAS_GET_ATTACHMENT = 4,
    MTD_EAS_FOLDER_SYNC = 9,
    MTD_EAS_FOLDER_CREATE = 10,
    MTD_EAS_FOLDER_DELETE = 11,
    MTD_EAS_FOLDER_UPDATE = 12,
    MTD_EAS_MOVE_ITEMS = 13,
    MTD_EAS_GET_ITEM_ESTIMATE = 14,
    MTD_EAS_MEETING_RESPONSE = 15,
    MTD_EAS_SEARCH = 16,
    MTD_EAS_SETTINGS = 17,
    MTD_EAS_PING = 18,
    MTD_EAS_ITEM_OPERATIONS = 19,
    MTD_EAS_PROVISION = 20,
    MTD_EAS_RESOLVE_RECIPIENTS = 21,
    MTD_EAS_VALIDATE_CERT = 22,
    MTD_EAS_FIND = 23,
    MTD_EAS_GET_HIERARCHY,
    MTD_EAS_CREATE_COLLECTION,
    MTD_EAS_DELETE_COLLECTION,
    MTD_EAS_MOVE_COLLECTION,
    MTD_EAS_COMMAND_N
} mtd_eas_command_e;


/* folded to lower case */

typedef struct {
    size_t          len;
    u_char          data[MTD_EAS_ID_MAX];
} mtd_eas_id_t;


typedef struct {
    unsigned        version;        /* 121 .. 161, 0 in the plain form */
    unsigned        command;        /* mtd_eas_command_e */
    unsigned        no_device;      /* the id is a word for "none", n is 0 */
    unsigned        n;              /* of ids */
    mtd_eas_id_t    id[MTD_EAS_CANDIDATES];
    const char     *why;            /* static text, set when malformed */
} mtd_eas_t;


int mtd_eas_parse(mtd_eas_t *eas, const mtd_str_t *args);

/*
 * mtd_eas_command.c: "FolderSync"; a static string, empty if there is no such
 * command
 */

const mtd_str_t *mtd_eas_command_name(unsigned command);


#endif /* _MTD_EAS_H_INCLUDED_ */
