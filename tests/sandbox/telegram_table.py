"""The Bot API methods this stand-in answers, with the fields each requires and the words for a missing one."""

REQUIRED: dict[str, tuple[str, ...]] = {
    "getMe": (),
    "getUpdates": (),
    "setWebhook": ("url",),
    "deleteWebhook": (),
    "getWebhookInfo": (),
    "sendMessage": ("chat_id", "text"),
    "sendPhoto": ("chat_id", "photo"),
    "sendChatAction": ("chat_id", "action"),
    "editMessageText": (),
    "editMessageCaption": (),
    "editMessageReplyMarkup": (),
    "editMessageMedia": ("media",),
    "deleteMessage": ("chat_id", "message_id"),
    "answerCallbackQuery": ("callback_query_id",),
    "setMyCommands": ("commands",),
    "getMyCommands": (),
    "deleteMyCommands": (),
    "setMyDescription": (),
    "setMyShortDescription": (),
    "setChatMenuButton": (),
    "getChat": ("chat_id",),
    "getChatMember": ("chat_id", "user_id"),
    "getChatMemberCount": ("chat_id",),
    "getChatAdministrators": ("chat_id",),
    "leaveChat": ("chat_id",),
    "getFile": ("file_id",),
    "createChatInviteLink": ("chat_id",),
    "editChatInviteLink": ("chat_id", "invite_link"),
    "revokeChatInviteLink": ("chat_id", "invite_link"),
    "approveChatJoinRequest": ("chat_id", "user_id"),
    "declineChatJoinRequest": ("chat_id", "user_id"),
    "banChatMember": ("chat_id", "user_id"),
    "unbanChatMember": ("chat_id", "user_id"),
    "createInvoiceLink": ("title", "description", "payload", "currency", "prices"),
    "answerPreCheckoutQuery": ("pre_checkout_query_id", "ok"),
    "refundStarPayment": ("user_id", "telegram_payment_charge_id"),
    "editUserStarSubscription": ("user_id", "telegram_payment_charge_id", "is_canceled"),
    "getStarTransactions": (),
}

MISSING = {
    "chat_id": "chat_id is empty",
    "text": "message text is empty",
    "photo": "there is no photo in the request",
    "action": "wrong parameter action in request",
    "message_id": "message identifier is not specified",
    "callback_query_id": "query is too old and response timeout expired or query ID is invalid",
    "user_id": "invalid user_id specified",
    "file_id": "file_id is empty",
}


def missing(field: str) -> str:
    """What Telegram says when the field is not there."""
    return MISSING.get(field, f'parameter "{field}" is required')
