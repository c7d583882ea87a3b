
/*
 * Copyright (C) the ngx_http_mtd_module authors
 */


#include "mtd_eas.h"


#define mtd_eas_text(s)  { sizeof(s) - 1, (u_char *) s }


static const mtd_str_t  mtd_eas_names[MTD_EAS_COMMAND_N] = {
    [MTD_EAS_SYNC] = mtd_eas_text("Sync"),
    [MTD_EAS_SEND_MAIL] = mtd_eas_text("SendMail"),
    [MTD_EAS_SMART_FORWARD] = mtd_eas_text("SmartForward"),
    [MTD_EAS_SMART_REPLY] = mtd_eas_text("SmartReply"),
    [MTD_EAS_GET_ATTACHMENT] = mtd_eas_text("GetAttachment"),
    [MTD_EAS_FOLDER_SYNC] = mtd_eas_text("FolderSync"),
    [MTD_EAS_FOLDER_CREATE] = mtd_eas_text("FolderCreate"),
    [MTD_EAS_FOLDER_DELETE] = mtd_eas_text("FolderDelete"),
    [MTD_EAS_FOLDER_UPDATE] = mtd_eas_text("FolderUpdate"),
    [MTD_EAS_MOVE_ITEMS] = mtd_eas_text("MoveItems"),
    [MTD_EAS_GET_ITEM_ESTIMATE] = mtd_eas_text("GetItemEstimate"),
    [MTD_EAS_MEETING_RESPONSE] = mtd_eas_text("MeetingResponse"),
    [MTD_EAS_SEARCH] = mtd_eas_text("Search"),
    [MTD_EAS_SETTINGS] = mtd_eas_text("Settings"),
    [MTD_EAS_PING] = mtd_eas_text("Ping"),
    [MTD_EAS_ITEM_OPERATIONS] = mtd_eas_text("ItemOperations"),
    [MTD_EAS_PROVISION] = mtd_eas_text("Provision"),
    [MTD_EAS_RESOLVE_RECIPIENTS] = mtd_eas_text("ResolveRecipients"),
    [MTD_EAS_VALIDATE_CERT] = mtd_eas_text("ValidateCert"),
    [MTD_EAS_FIND] = mtd_eas_text("Find"),
    [MTD_EAS_GET_HIERARCHY] = mtd_eas_text("GetHierarchy"),
    [MTD_EAS_CREATE_COLLECTION] = mtd_eas_text("CreateCollection"),
    [MTD_EAS_DELETE_COLLECTION] = mtd_eas_text("DeleteCollection"),
    [MTD_EAS_MOVE_COLLECTION] = mtd_eas_text("MoveCollection")
};


const mtd_str_t *
mtd_eas_command_name(unsigned command)
{
    static const mtd_str_t  none = mtd_eas_text("");

    return command < MTD_EAS_COMMAND_N && mtd_eas_names[command].len
           ? &mtd_eas_names[command] : &none;
}
